import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, it } from '@jest/globals'
import { connectionPool } from '../../../../lib/platform/store/postgresql/pool.ts'
import { systemClock } from '../../../../lib/wiring/system.ts'
import { serveFake } from '../../../kit/postgresql/fake-server.ts'
import { silentLog } from '../../../kit/random.ts'

describe('connections to the store', () => {
  it.each(['clear', 'md5'] as const)('give no password to whoever asks for it in the form %s', async demand => {
    const received: string[] = []
    const server = createServer(socket => serveFake(socket, demand, text => received.push(text)))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const url = `postgres://coffer:secret-1@127.0.0.1:${port}/coffer`
    const pool = connectionPool({ url, connections: 2, patienceMs: 5_000, clock: systemClock, log: silentLog })
    try {
      await expect(pool.withClient(client => client.query('SELECT'))).rejects.toThrow('a form that is refused')
      expect(received).toEqual([expect.stringMatching(/^startup user/)])
    } finally {
      await pool.close()
      server.close()
    }
  })
})
