import { describe, expect, it } from '@jest/globals'
import { readOptions, StartupError } from '../../local/options.ts'

const read = (...args: string[]) => readOptions(args, false, '/home/ann')

describe('the options of npm start', () => {
  it('have defaults that depend on the user', () => {
    const defaults = { port: 8779, host: '127.0.0.1', rate: 200, spares: 2, insecure: false, quiet: false }
    expect(read()).toEqual({ ...defaults, dataDir: '/home/ann/.coffer' })
    expect(readOptions([], true, '/root')).toEqual({ ...defaults, dataDir: '/var/lib/coffer' })
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
