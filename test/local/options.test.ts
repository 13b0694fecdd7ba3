import { totalmem } from 'node:os'
import { describe, expect, it } from '@jest/globals'
import { readOptions, StartupError } from '../../local/options.ts'

const read = (...args: string[]) => readOptions(args, false, '/home/ann')

describe('the options of npm start', () => {
  it('have defaults that depend on the user', () => {
    const defaults = {
      port: 8779,
      host: '127.0.0.1',
      rate: 200,
      spares: 2,
      insecure: false,
      quiet: false,
      newPasswords: [],
    }
    const host = { root: 'administrator', hostId: 'local', hosts: 1, ramMb: Math.floor((1.5 * totalmem()) / 2 ** 20) }
    expect(read()).toEqual({ ...defaults, ...host, dataDir: '/home/ann/.coffer' })
    expect(readOptions([], true, '/root')).toEqual({ ...defaults, ...host, dataDir: '/var/lib/coffer' })
  })

  it('set the number of spare clusters', () => {
    expect(['0', '1', '16'].map(count => read('--spares', count).spares)).toEqual([0, 1, 16])
    expect(read('--spares=7').spares).toBe(7)
  })

  it.each(['-1', '17', '1.5', '1e1', 'two', '', ' 2'])('refuse %j spare clusters', count => {
    const readInvalid = () => read(`--spares=${count}`)
    expect(readInvalid).toThrow(StartupError)
    expect(readInvalid).toThrow(`--spares takes a whole number from 0 to 16, not '${count}'`)
  })

  it('name the host, and say how much memory its instances may have', () => {
    expect(read('--host-id', 'rack-2', '--ram-mb', '4096')).toMatchObject({ hostId: 'rack-2', ramMb: 4_096 })
    for (const id of ['', 'B', 'a_b', 'x'.repeat(41)]) expect(() => read(`--host-id=${id}`)).toThrow('--host-id takes')
    expect(() => read('--ram-mb', '100')).toThrow('--ram-mb takes a whole number from 512')
  })

  it('share the machine’s memory between several hosts', () => {
    const { hosts, ramMb } = read('--hosts', '3')
    expect([hosts, ramMb]).toEqual([3, Math.floor((1.5 * totalmem()) / 2 ** 20 / 3)])
    expect(() => read('--hosts', '17')).toThrow('--hosts takes a whole number from 1 to 16')
  })

  it('say what root is: an administrator or a superuser', () => {
    expect(['administrator', 'superuser'].map(mode => read('--root', mode).root)).toEqual([
      'administrator',
      'superuser',
    ])
    expect(() => read('--root', 'admin')).toThrow("--root takes administrator or superuser, not 'admin'")
  })

  it('resolve the data directory against the folder that npm was started in', () => {
    expect(read('--data-dir', 'data').dataDir).toBe('/home/ann/data')
    expect(read('--data-dir', '/srv/data').dataDir).toBe('/srv/data')
  })

  it('refuse unknown options with one line', () => {
    const readInvalid = () => read('--spare', '1')
    expect(readInvalid).toThrow(StartupError)
    expect(readInvalid).toThrow(/^[^\n]*Unknown option '--spare'[^\n]*$/)
  })

  it('require --insecure to listen on other addresses without root', () => {
    expect(() => read('--host', '0.0.0.0')).toThrow('--insecure')
    expect(read('--host', '0.0.0.0', '--insecure').host).toBe('0.0.0.0')
    expect(readOptions(['--host', '0.0.0.0'], true, '/').host).toBe('0.0.0.0')
  })
})
