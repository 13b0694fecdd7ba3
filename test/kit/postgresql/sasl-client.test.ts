import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { Pool } from 'pg'
import { messageOf } from '../../../lib/kit/errors.ts'
import { SaslClient } from '../../../lib/kit/postgresql/sasl-client.ts'
import { type Demand, serveFake } from './fake-server.ts'

const LOGIN = { host: '127.0.0.1', user: 'ann', password: 'secret-1', database: 'cart', connectionTimeoutMillis: 5_000 }

describe('a client of PostgreSQL that authenticates by SASL only', () => {
  let server: Server
  let received: string[] = []
  afterEach(async () => {
    server.close()
    await once(server, 'close')
  })

  /** Starts a server that knows no password; returns its port. */
  async function fake(demand: Demand): Promise<number> {
    received = []
    server = createServer(socket => serveFake(socket, demand, text => received.push(text)))
    server.listen(0, LOGIN.host)
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' && address ? address.port : 0
  }
  const connect = async (demand: Demand, mustProve: boolean) => {
    const client = new SaslClient({ ...LOGIN, port: await fake(demand) }, { mustProve })
    client.on('error', () => undefined)
    return client.connect().then(() => client, messageOf)
  }

  it.each(['clear', 'md5'] as const)(
    'says nothing to a server that asks for a password in the form %s',
    async demand => {
      expect(await connect(demand, false)).toBe('the server asks for the password in a form that is refused')
      // Its name, and the connection has ended.
      expect(received).toEqual([expect.stringMatching(/^startup user/)])
    },
  )

  it('sends no password to a server that does SASL without knowing it, and does not take it for the server', async () => {
    expect(await connect('sasl', false)).toMatch(/SASL|server signature/i)
    expect(received).toHaveLength(3)
    expect(received.join('\n')).not.toContain(LOGIN.password)
  })

  it('refuses a server that asks for nothing, if it must prove itself', async () => {
    expect(await connect('nothing', true)).toBe('the server does not show that it knows the password')
    expect(received).toHaveLength(1)
  })

  it('accepts a server that asks for nothing otherwise, as one that trusts its network', async () => {
    const client = await connect('nothing', false)
    expect(client).toBeInstanceOf(SaslClient)
    if (client instanceof SaslClient) await client.end()
  })

  it('can be used by a pool', async () => {
    const pool = new Pool({ ...LOGIN, port: await fake('clear'), Client: SaslClient })
    await expect(pool.query('SELECT')).rejects.toThrow('a form that is refused')
    expect(received).toHaveLength(1)
    await pool.end()
  })
})
