import { type AddressInfo, connect, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it } from '@jest/globals'
import type { Identity } from '../../../lib/ports/identity.ts'
import { setPlatform } from '../../../lib/wiring/current.ts'
import { systemClock } from '../../../lib/wiring/system.ts'
import { FairQueue } from '../../../local/gateway/fair-queue.ts'
import { type Gateway, gateway } from '../../../local/gateway/gateway.ts'
import { type GatewayLimits, gatewayLimits } from '../../../local/gateway/limits.ts'
import { request, until } from '../../e2e/coffer.ts'
import { silentLog } from '../../kit/random.ts'
import { virtualClock } from '../../kit/virtual-clock.ts'
import { World } from '../../sim/world.ts'

const MIB = 1024 * 1024
let server: Gateway | undefined
let clients: Socket[] = []
afterEach(async () => {
  for (const client of clients) client.destroy()
  clients = []
  await server?.close()
})

/** A gateway whose tokens are the names of projects; `forged` is none. */
async function setUp(limits: Partial<GatewayLimits> = {}) {
  const hold = { for: Promise.resolve() }
  const identity: Identity = {
    async verify(token) {
      await hold.for
      if (token === 'forged') return undefined
      const ref = { id: token, name: token }
      return { user: ref, project: ref, roles: ['member'], expires: 0 }
    },
  }
  const { platform } = await new World().open()
  setPlatform({ ...platform, identity, log: silentLog })
  const parts = gatewayLimits(0, systemClock)
  const edge = { ...parts, metrics: async () => '', ...limits }
  server = await gateway({ host: '127.0.0.1', port: 0, log: silentLog, edge })
  const accepted: Socket[] = []
  server.server.on('connection', socket => accepted.push(socket))
  const { port } = server.server.address() as AddressInfo
  const bytesRead = () => accepted.reduce((sum, { bytesRead }) => sum + bytesRead, 0)
  return { port, base: `http://127.0.0.1:${port}`, bytesRead, hold }
}

/**
 * A connection that sends a head and all of its body but the last byte, which `end` sends; resolves to the status
 * line.
 */
function unfinished(port: number, path: string, token: string | undefined, size: number) {
  const socket = connect(port, '127.0.0.1')
  clients.push(socket)
  socket.on('error', () => {})
  const status = new Promise<string>(resolve => {
    socket.once('data', data => resolve(data.toString().split('\r\n', 1)[0] ?? ''))
    socket.once('close', () => resolve('closed'))
  })
  const credentials = token === undefined ? '' : `X-Auth-Token: ${token}\r\n`
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n${credentials}\r\n`)
  socket.write(Buffer.alloc(size - 1, ' '))
  return { status, end: () => socket.write(' ') }
}

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** What bodies occupy, without those that nobody holds any more. */
function bufferBytes(): number {
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

describe('a flood of unfinished bodies', () => {
  const COUNT = 60

  it.each([
    ['a forged token', '/v1.0/demo/instances', 'forged', /^HTTP\/1.1 401 /],
    ['no token', '/v1.0/demo/instances', undefined, /^HTTP\/1.1 401 /],
    ['a login', '/identity/v3/auth/tokens', undefined, /^HTTP\/1.1 413 /],
    ['an enrolment', '/enrol', undefined, /^HTTP\/1.1 413 /],
    ['a public page', '/', undefined, /^HTTP\/1.1 413 /],
  ])('with %s occupies a few MiB, and others are served', async (_name, path, token, answer) => {
    const { port, base, bytesRead } = await setUp()
    const before = bufferBytes()
    const flood = Array.from({ length: COUNT }, () => unfinished(port, path, token, MIB))
    await until('all read', async () => bytesRead() >= COUNT * (MIB - 1), 30_000)
    await until('dropped', async () => bufferBytes() - before < 0.3 * COUNT * MIB, 5_000)
    const victim = { instance: { name: 'x'.repeat(200_000) } }
    const refused = await request('POST', `${base}/v1.0/victim/instances`, victim, { 'x-auth-token': 'victim' })
    expect([refused.status, refused.body.badRequest?.code]).toEqual([400, 400])
    for (const { end } of flood) end()
    for (const { status } of flood) expect(await status).toMatch(answer)
  })

  it('of one project occupies a bounded share, and another project is served', async () => {
    const { port, base, bytesRead } = await setUp()
    const before = bufferBytes()
    const flood = Array.from({ length: COUNT }, () => unfinished(port, '/v1.0/flood/instances', 'flood', MIB))
    await until('all read', async () => bytesRead() >= COUNT * (MIB - 1), 30_000)
    await until('dropped', async () => bufferBytes() - before < 0.6 * COUNT * MIB, 5_000)
    const victim = { instance: { name: 'x'.repeat(200_000) } }
    const refused = await request('POST', `${base}/v1.0/victim/instances`, victim, { 'x-auth-token': 'victim' })
    expect(refused.status).toBe(400)
    for (const { end } of flood) end()
    const statuses = await Promise.all(flood.map(({ status }) => status))
    expect(new Set(statuses)).toEqual(new Set(['HTTP/1.1 400 Bad Request', 'HTTP/1.1 503 Service Unavailable']))
  })

  it('leaves nothing occupied when its connections break', async () => {
    const { port, base, bytesRead } = await setUp()
    for (let round = 0; round < 3; round++) {
      const read = bytesRead()
      const flood = Array.from({ length: 30 }, () => unfinished(port, '/v1.0/demo/instances', 'demo', MIB))
      await until('all read', async () => bytesRead() - read >= 30 * (MIB - 1), 30_000)
      for (const client of clients) client.destroy()
      await Promise.all(flood.map(({ status }) => status))
    }
    const large = { instance: { name: 'x'.repeat(900_000) } }
    const answers = Array.from({ length: 20 }, () =>
      request('POST', `${base}/v1.0/demo/instances`, large, { 'x-auth-token': 'demo' }),
    )
    expect(new Set((await Promise.all(answers)).map(({ status }) => status))).toEqual(new Set([400]))
  })
})

describe('a flood of logins from one address', () => {
  it('delays the login of another user there by a few of them only', async () => {
    // One place, on a clock that stands still: it is held until all wait.
    const options = { clock: virtualClock(), width: 1, placeMs: 50, maxWaiting: 20_000, backlogLimit: 20_000 }
    const fairQueue = new FairQueue(options)
    const { port, base, hold } = await setUp({ fairQueue })
    let release = () => {}
    hold.for = new Promise(resolve => {
      release = resolve
    })
    const holder = request('GET', `${base}/v1.0/demo/flavors`, undefined, { 'x-auth-token': 'demo' })
    await until('held', async () => fairQueue.depth().running === 1)
    const loginOf = (name: string) => {
      const user = { name, domain: { id: 'default' }, password: 'guess' }
      return JSON.stringify({ auth: { identity: { methods: ['password'], password: { user } } } })
    }
    const post = (body: string) =>
      `POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    let responses = 0
    for (let count = 0; count < 10; count++) {
      const socket = connect(port, '127.0.0.1')
      clients.push(socket)
      socket.on('data', data => {
        responses += data.toString().split('HTTP/1.1 ').length - 1
      })
      socket.write(post(loginOf('ann')).repeat(50))
    }
    await until('flood', async () => fairQueue.depth().waiting === 500)
    const login = request('POST', `${base}/identity/v3/auth/tokens`, JSON.parse(loginOf('bob')))
    await until('all', async () => fairQueue.depth().waiting === 501)
    release()
    await login
    expect(responses).toBeLessThan(50)
    await holder
  })
})

describe('connections', () => {
  it('are bounded, and those that send too slowly are looked for every 5 s', async () => {
    await setUp()
    expect(server?.server.maxConnections).toBe(5_000)
    expect(Reflect.get(server?.server ?? {}, 'connectionsCheckingInterval')).toBe(5_000)
  })
})
