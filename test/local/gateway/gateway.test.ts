import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import type { Log, LogFields } from '../../../lib/kit/clock.ts'
import type { Identity } from '../../../lib/ports/identity.ts'
import { setPlatform } from '../../../lib/wiring/current.ts'
import { systemClock } from '../../../lib/wiring/system.ts'
import { FairQueue } from '../../../local/gateway/fair-queue.ts'
import { type Gateway, gateway } from '../../../local/gateway/gateway.ts'
import { gatewayLimits } from '../../../local/gateway/limits.ts'
import { usagePlans } from '../../../local/gateway/usage-plans.ts'
import { request, until } from '../../e2e/coffer.ts'
import { virtualClock } from '../../kit/virtual-clock.ts'
import { World } from '../../sim/world.ts'

/** A log that collects the lines of requests. */
function requestLog(lines: LogFields[], bindings: LogFields = {}): Log {
  const line = (fields: LogFields, message: string) => {
    if (message === 'request') lines.push({ ...bindings, ...fields })
  }
  const child = (fields: LogFields) => requestLog(lines, { ...bindings, ...fields })
  return { debug: line, info: line, warn: line, error: line, child }
}

let server: Gateway | undefined
afterEach(() => server?.close())

/** A gateway whose tokens are the names of projects. */
async function setUp(plans?: Parameters<typeof usagePlans>[0], backlogLimit = 20_000) {
  const lines: LogFields[] = []
  const hold = { for: Promise.resolve() }
  const identity: Identity = {
    async verify(token) {
      await hold.for
      if (token === 'forged') return undefined
      const ref = { id: token, name: token }
      return { user: ref, project: ref, roles: ['member'], expires: 0 }
    },
  }
  const log = requestLog(lines)
  const { platform } = new World()
  setPlatform({ ...platform, identity, log })
  const defaults = gatewayLimits(0, systemClock)
  // On a clock that stands still no request loses its place.
  const clock = virtualClock()
  const fairQueue = new FairQueue({ clock, width: 16, placeMs: 50, maxWaiting: 20_000, backlogLimit })
  const parts = { ...defaults, fairQueue, ...(plans && { plans: usagePlans(plans, systemClock) }) }
  const metrics = async () => parts.registry.text()
  server = await gateway({ host: '127.0.0.1', port: 0, log, edge: { ...parts, metrics } })
  const { port } = server.server.address() as AddressInfo
  const base = `http://127.0.0.1:${port}`
  const ask = (project: string, path = '/flavors') =>
    request('GET', `${base}/v1.0/${project}${path}`, undefined, { 'x-auth-token': project })
  return { base, port, ask, lines, hold, depth: () => fairQueue.depth().waiting + fairQueue.depth().running }
}

const lineOf = (project: string) =>
  `GET /v1.0/${project}/flavors HTTP/1.1\r\nHost: x\r\nX-Auth-Token: ${project}\r\n\r\n`

describe('the gateway', () => {
  it('answers 429 with Trove’s body when a usage plan is exhausted, and counts that', async () => {
    const tiny = { name: 'member', rate: 0.001, burst: 2 }
    const { ask, base } = await setUp([tiny])
    expect((await ask('demo')).status).toBe(200)
    expect((await ask('demo')).status).toBe(200)
    const over = await ask('demo')
    expect(over.status).toBe(429)
    expect(over.headers.get('retry-after')).toMatch(/^(999|1000)$/)
    expect(over.headers.get('content-type')).toBe('application/json')
    expect(over.body).toEqual({
      overLimit: {
        code: 429,
        message: 'This request was rate-limited.',
        details: "More requests than the usage plan 'member' allows.",
        retryAfter: over.headers.get('retry-after'),
      },
    })
    const { text } = await request('GET', `${base}/metrics`)
    expect(text).toContain('coffer_requests_throttled_total{status="429"} 1\n')
    expect(text).toContain('coffer_requests_total{method="GET",route="/flavors",status="200"} 2\n')
  })

  it('counts requests without a valid token on no usage plan', async () => {
    const { ask } = await setUp([{ name: 'member', rate: 0.001, burst: 1 }])
    for (let tries = 0; tries < 3; tries++) expect((await ask('forged')).status).toBe(401)
    expect((await ask('demo')).status).toBe(200)
  })

  it('answers a project after at most 33 of the 10,000 requests that another has queued', async () => {
    const { ask, port, lines, hold, depth } = await setUp()
    // After its first request the gateway knows a token's project.
    await ask('flood')
    await ask('few')
    lines.length = 0
    let release = () => {}
    hold.for = new Promise(resolve => {
      release = resolve
    })
    const sockets = Array.from({ length: 100 }, () => connect(port, '127.0.0.1'))
    for (const socket of sockets) {
      socket.resume()
      socket.write(lineOf('flood').repeat(100))
    }
    await until('flood', async () => depth() === 10_000)
    const few = ask('few')
    await until('all', async () => depth() === 10_001)
    release()
    expect((await few).status).toBe(200)
    // Sixteen have places; after them the projects take turns.
    expect(lines.findIndex(({ project }) => project === 'few')).toBeLessThanOrEqual(16 + 16 + 1)
    await until('end of the flood', async () => lines.length === 10_001)
    for (const socket of sockets) socket.destroy()
    await Promise.all(sockets.map(socket => socket.closed || once(socket, 'close')))
  }, 60_000)

  it('stops reading a connection while many requests of its project wait, and answers all of them in the end', async () => {
    const { ask, port, lines, hold, depth } = await setUp(undefined, 4)
    await ask('flood')
    lines.length = 0
    let release = () => {}
    hold.for = new Promise(resolve => {
      release = resolve
    })
    const socket = connect(port, '127.0.0.1')
    socket.resume()
    const send = (count: number) => new Promise<unknown>(done => socket.write(lineOf('flood').repeat(count), done))
    await send(20)
    await until('first part', async () => depth() === 20)
    await send(30)
    // What was sent on the first connection has been read by now, or is not read.
    const few = ask('few')
    await until('another project', async () => depth() === 21)
    release()
    expect((await few).status).toBe(200)
    await until('all', async () => lines.length === 51)
    socket.destroy()
    if (!socket.closed) await once(socket, 'close')
  })

  it('serves /metrics to this machine only', async () => {
    const { base } = await setUp()
    const direct = await request('GET', `${base}/metrics`)
    expect([direct.status, direct.headers.get('content-type')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ])
    const proxied = await request('GET', `${base}/metrics`, undefined, { 'x-forwarded-for': '10.0.0.1' })
    expect([proxied.status, Object.keys(proxied.body)]).toEqual([404, ['itemNotFound']])
  })

  it('logs requests that do not reach the API, each with an id', async () => {
    const { ask, base, port, lines } = await setUp([{ name: 'member', rate: 0.001, burst: 1 }])
    // This cloud has no identity service of its own.
    const login = await request('POST', `${base}/identity/v3/auth/tokens`, {})
    const refused = [login, await ask('forged'), await ask('demo'), await ask('demo')]
    const large = await request('POST', `${base}/v1.0/demo/instances`, `"${'x'.repeat(1024 * 1024)}"`)
    const answers = [...refused, large].map(({ status, headers }) => [status, headers.get('x-openstack-request-id')])
    expect(answers.map(([status]) => status)).toEqual([500, 401, 200, 429, 413])
    expect(lines.map(({ status, requestId }) => [status, requestId])).toEqual(answers)
    expect(lines[1]).toMatchObject({ method: 'GET', route: 'none', remote: '127.0.0.1' })
    lines.length = 0
    await request('GET', `${base}/metrics`)
    const socket = connect(port, '127.0.0.1')
    socket.end('nonsense\r\n\r\n')
    const [answer] = await once(socket, 'data')
    const [, id] = /^X-OpenStack-Request-Id: (req-\S+)\r$/m.exec(String(answer)) ?? []
    expect(lines).toEqual([{ requestId: id, status: 400, reason: 'The request is malformed.' }])
  })

  it('logs one line for each request with caller, route, status, duration and size', async () => {
    const { ask, lines } = await setUp()
    const { headers, text } = await ask('demo')
    expect(lines).toEqual([
      {
        requestId: headers.get('x-openstack-request-id'),
        method: 'GET',
        route: '/flavors',
        project: 'demo',
        user: 'demo',
        status: 200,
        ms: expect.any(Number),
        bytes: Buffer.byteLength(text),
      },
    ])
  })
})
