import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { chooseEndpoint, Endpoints, isFree } from '../../host/addresses.ts'

// Another network of loopback addresses for every run; elsewhere than on Linux there is 127.0.0.1 alone.
const network = `127.${200 + (process.pid % 50)}`
const linux = process.platform === 'linux'
const listenAddress = linux ? `${network}.0.2` : '127.0.0.1'

let listeners: Server[] = []
afterEach(() => {
  for (const server of listeners) server.close()
  listeners = []
})

async function listen(host: string, port = 0): Promise<number> {
  const server = createServer().listen({ host, port, exclusive: true })
  listeners.push(server)
  await once(server, 'listening')
  const bound = server.address()
  return typeof bound === 'object' && bound ? bound.port : 0
}

/** A port that nothing listens on now. */
async function freePort(): Promise<number> {
  const port = await listen(listenAddress)
  const [server] = listeners.splice(-1)
  server?.close()
  return port
}

describe('the endpoint of a database', () => {
  const onLinux = linux ? it : it.skip

  onLinux('is the first free address of its network, with the standard port', async () => {
    const port = await freePort()
    expect(await chooseEndpoint(network, port, [])).toEqual({ address: `${network}.0.2`, port })
    const used = [`${network}.0.2`, `${network}.0.3`].map(address => ({ address, port }))
    expect(await chooseEndpoint(network, port, used)).toEqual({ address: `${network}.0.4`, port })
  })

  onLinux('is never one on which another process listens', async () => {
    const port = await listen(`${network}.0.2`)
    expect(await isFree({ address: `${network}.0.2`, port })).toBe(false)
    expect(await chooseEndpoint(network, port, [])).toEqual({ address: `${network}.0.3`, port })
  })

  onLinux('is one of its network although a tenant listens on many of it in a row', async () => {
    const port = await listen(`${network}.0.2`)
    for (let last = 3; last < 150; last++) await listen(`${network}.0.${last}`, port)
    expect(await chooseEndpoint(network, port, [])).toEqual({ address: expect.stringContaining(`${network}.`), port })
  })

  it('is a free port of 127.0.0.1 where the standard port is taken everywhere', async () => {
    const port = await listen('0.0.0.0')
    const first = await chooseEndpoint(network, port, [])
    expect(first.address).toBe('127.0.0.1')
    expect(first.port).not.toBe(port)
    const second = await chooseEndpoint(network, port, [first])
    expect([second.address, second.port === first.port]).toEqual(['127.0.0.1', false])
  })

  it('is a port of 127.0.0.1 where its network cannot be bound', async () => {
    await expect(chooseEndpoint('192.0', 5432, [])).resolves.toMatchObject({ address: '127.0.0.1' })
  })

  it('cannot be chosen where every address and port is used', async () => {
    const used = Array.from({ length: 65_536 }, (_, port) => ({ address: '127.0.0.1', port }))
    const port = await listen('0.0.0.0')
    await expect(chooseEndpoint(network, port, used)).rejects.toThrow('no free address')
  })

  it('is not given twice to concurrent callers until it is released', async () => {
    const port = await freePort()
    const endpoints = new Endpoints(network)
    const none = async () => []
    const [first, second] = await Promise.all([endpoints.choose(port, none), endpoints.choose(port, none)])
    expect(first).not.toEqual(second)
    expect([first, second]).not.toContainEqual(await endpoints.choose(port, none))
    endpoints.release(first)
    expect(await endpoints.choose(port, none)).toEqual(first)
  })

  onLinux(
    'hardly ever meets that of another cloud with the same network whose database does not listen yet',
    async () => {
      const port = await freePort()
      const clouds = Array.from({ length: 10 }, () => new Endpoints(network))
      const choices = await Promise.all(clouds.map(cloud => cloud.choose(port, async () => [])))
      expect(new Set(choices.map(({ address }) => address)).size).toBeGreaterThan(5)
    },
  )
})
