import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, expect, it } from '@jest/globals'
import { httpUrl, listen, listeningPort, localUrl } from '../../local/address.ts'
import { StartupError } from '../../local/options.ts'

const listenFailing = (error: Error) => listen('192.0.2.1', 80, () => Promise.reject(error))

describe('addresses', () => {
  it('put IPv6 hosts in brackets', () => {
    expect(httpUrl('db.example.org', 80)).toBe('http://db.example.org:80')
    expect(httpUrl('::1', 80)).toBe('http://[::1]:80')
  })

  it('replace the address of all interfaces by the loopback address for local processes', () => {
    expect(['0.0.0.0', '::', '10.0.0.1', 'fe80::1'].map(host => localUrl(host, 80))).toEqual([
      'http://127.0.0.1:80',
      'http://127.0.0.1:80',
      'http://10.0.0.1:80',
      'http://[fe80::1]:80',
    ])
  })

  it('have the port that the system chose, once the server listens', async () => {
    const server = createServer()
    expect([listeningPort(undefined, 0), listeningPort(server, 0)]).toEqual([0, 0])
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    expect(listeningPort(server, 0)).toBeGreaterThan(0)
    server.close()
  })

  it('explain why a server cannot listen', async () => {
    await expect(listenFailing(Object.assign(new Error('x'), { code: 'EADDRINUSE' }))).rejects.toThrow(
      new StartupError('port 80 on 192.0.2.1 is taken; choose another with --port'),
    )
    await expect(listenFailing(Object.assign(new Error('x'), { code: 'EACCES' }))).rejects.toThrow(
      new StartupError('port 80 on 192.0.2.1 cannot be used (EACCES); choose another with --port'),
    )
  })
})
