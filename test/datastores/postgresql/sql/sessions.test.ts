import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { isConnectionLost } from '../../../../lib/datastores/postgresql/sql/sessions.ts'

/** What a server says to a client that need not log in: it is welcome, and may send a query. */
const WELCOME = Buffer.from([...Buffer.from('R'), 0, 0, 0, 8, 0, 0, 0, 0, ...Buffer.from('Z'), 0, 0, 0, 5, 0x49])

describe('a session whose server dies', () => {
  let server: Server
  let sockets: Socket[]
  let client: pg.Client
  beforeEach(async () => {
    sockets = []
    server = createServer(socket => {
      sockets.push(socket)
      socket.once('data', () => socket.write(WELCOME))
      socket.on('error', () => undefined)
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    client = new pg.Client({ host: '127.0.0.1', port, user: 'os_admin', database: 'postgres' })
    await client.connect()
  })
  afterEach(async () => {
    for (const socket of sockets) socket.destroy()
    await client.end().catch(() => undefined)
    server.close()
  })
  const failureOf = (query: Promise<unknown>) => query.then(() => undefined).catch(error => error)

  it('is lost for the query that was under way', async () => {
    const failed = failureOf(client.query('SELECT'))
    client.once('error', () => undefined)
    sockets[0]?.destroy()
    expect(isConnectionLost(await failed)).toBe(true)
  })

  it('is lost for a query after it too', async () => {
    const broken = once(client, 'error').catch(error => error)
    sockets[0]?.resetAndDestroy()
    await broken
    const error = await failureOf(client.query('SELECT'))
    expect(error.message).toContain('not queryable')
    expect(isConnectionLost(error)).toBe(true)
  })

  it('is lost for a query after somebody else has closed it', async () => {
    const closing = client.end()
    const error = await failureOf(client.query('SELECT'))
    expect(error.message).toContain('not queryable')
    expect(isConnectionLost(error)).toBe(true)
    sockets[0]?.destroy()
    await closing
  })

  it('is not lost where the server refuses', () => {
    expect(isConnectionLost(new Error('permission denied'))).toBe(false)
  })
})
