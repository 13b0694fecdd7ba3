import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { ownCloud } from './cloud.ts'
import { deleteInstance, requestInstance, type Session, until, waitUntilActive } from './coffer.ts'
import { withHostPaused } from './fault-injection.ts'

interface Limit {
  verb: string
  uri: string
  value: number
  remaining: number
  nextAvailable: string
}

async function limitsOf(session: Session): Promise<Limit[]> {
  const { status, body } = await session.call('GET', '/limits')
  expect(status).toBe(200)
  return body.limits.slice(1)
}

describe('with --rate 5', () => {
  const { coffer, demo, alt } = ownCloud(['--rate', '5', '--spares', '0'])

  it('shows the limits of the project, and what remains of them', async () => {
    const limits = await limitsOf(alt)
    expect(limits.map(({ verb, uri }) => `${verb} ${uri}`)).toEqual([
      'POST *',
      'PUT *',
      'DELETE *',
      'GET *',
      'POST */mgmt',
    ])
    // This request is the first GET.
    expect(limits.map(({ remaining }) => remaining)).toEqual([5, 5, 5, 4, 5])
    expect(new Set(limits.map(({ value }) => value))).toEqual(new Set([5]))
    for (const { nextAvailable } of limits) expect(nextAvailable).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  })

  it('refuses the sixth GET as Trove does, and no other project’s requests', async () => {
    const statuses: number[] = []
    for (let count = 0; count < 5; count++) statuses.push((await demo.call('GET', '/flavors')).status)
    expect(statuses).toEqual([200, 200, 200, 200, 200])
    const over = await demo.call('GET', '/flavors')
    expect(over.status).toBe(413)
    const retryAfter = over.headers.get('retry-after') ?? ''
    // A bucket of five a minute has room for one more every twelve seconds.
    expect(retryAfter).toMatch(/^([1-9]|1[0-2])$/)
    expect(over.body).toEqual({
      overLimit: {
        code: 413,
        message: 'This request was rate-limited.',
        details: 'Only 5 GET request(s) can be made to * every minute.',
        retryAfter,
      },
    })
    // Unknown routes count too: the limit comes before the route.
    expect((await demo.call('GET', '/nothing')).status).toBe(413)
    expect((await alt.call('GET', '/flavors')).status).toBe(200)
    // Each verb has a limit of its own; PATCH has none.
    expect((await demo.call('DELETE', '/nothing')).status).toBe(404)
    const patches = await Promise.all(Array.from({ length: 8 }, () => demo.call('PATCH', '/nothing', {})))
    expect(new Set(patches.map(({ status }) => status))).toEqual(new Set([404]))
  })

  it('does not count requests to a foreign project or without a token', async () => {
    const before = (await limitsOf(alt)).find(({ verb }) => verb === 'PUT')?.remaining
    const url = `${coffer.base}/v1.0/${alt.project}/nothing`
    expect((await demo.call('PUT', url, {})).status).toBe(403)
    expect((await fetch(url, { method: 'PUT' })).status).toBe(401)
    expect((await limitsOf(alt)).find(({ verb }) => verb === 'PUT')?.remaining).toBe(before)
  })

  it('counts refused requests in /metrics', async () => {
    const text = await (await fetch(`${coffer.base}/metrics`)).text()
    expect(text).toMatch(/^coffer_requests_throttled_total\{status="413"\} [1-9]\d*$/m)
    expect(text).toMatch(/^coffer_requests_total\{method="GET",route="none",status="413"\} [1-9]\d*$/m)
  })

  it('prints what runs where before the ready line', () => {
    const plain = coffer.output().split('\n')
    const ready = plain.findIndex(line => line.startsWith('ready '))
    const before = plain.slice(0, ready).join('\n')
    const pid = JSON.parse(readFileSync(join(coffer.dataDir, 'host.pid'), 'utf8')).pid
    for (const part of [
      `gateway      ${coffer.base},`,
      'limits       5 requests a minute',
      `data         ${coffer.dataDir}`,
      `host daemon  pid ${pid}, log ${join(coffer.dataDir, 'host.log')}`,
      `accounts     ${join(coffer.dataDir, 'openrc')}, openrc-admin, openrc-alt, clouds.yaml`,
    ])
      expect(before).toContain(part)
  })
})

describe('with --rate 0', () => {
  const { coffer, demo } = ownCloud(['--spares', '0'])

  it('limits nothing, and shows no rate limit', async () => {
    const all = await Promise.all(Array.from({ length: 1_000 }, () => demo.call('GET', '/limits')))
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]))
    expect(all[0]?.body.limits.map(({ verb }: Limit) => verb)).toEqual(['ABSOLUTE'])
  })

  it('logs a request’s id in the API, the taskmanager and the agent', async () => {
    const created = await demo.call('POST', '/instances', {
      instance: { name: 'traced', flavorRef: 1, volume: { size: 1 } },
    })
    const id = created.headers.get('x-openstack-request-id') ?? ''
    expect(id).toMatch(/^req-/)
    const { id: instance } = created.body.instance
    const ended = () => linesOf(coffer.output()).find(line => line['requestId'] === id && line['msg'] === 'saga ended')
    await until('end of the operation', async () => ended())
    const lines = linesOf(coffer.output()).filter(line => line['requestId'] === id)
    expect(lines.map(line => line['msg'])).toEqual(['request', 'saga ended'])
    expect(lines[0]).toMatchObject({ method: 'POST', route: '/instances', project: demo.project, status: 200 })
    expect(lines[0]).toMatchObject({ user: expect.stringMatching(/^.+$/), ms: expect.any(Number) })
    expect(lines[0]?.['bytes']).toBe(Buffer.byteLength(created.text))
    expect(lines[1]).toMatchObject({ saga: 'create_instance', instance, outcome: 'done' })
    const agent = readFileSync(join(coffer.dataDir, 'servers', `server-${instance}-1.log`), 'utf8')
    const done = linesOf(agent).filter(line => line['requestId'] === id)
    expect(done).toEqual([expect.objectContaining({ method: 'prepare', msg: 'command done' })])
    const metrics = await (await fetch(`${coffer.base}/metrics`)).text()
    expect(metrics).toContain('coffer_operations_ended_total{name="create_instance",status="DONE"} 1\n')
    expect(metrics).toContain('coffer_guests 1\n')
    await deleteInstance(demo, instance)
  })

  it('shows running operations in /metrics', async () => {
    const metrics = async () => (await fetch(`${coffer.base}/metrics`)).text()
    const id = await withHostPaused(coffer, async () => {
      const created = await requestInstance(demo)
      expect(await metrics()).toMatch(/^coffer_operations\{name="create_instance",status="RUNNING"\} 1$/m)
      return created.id
    })
    await waitUntilActive(demo, id)
    await deleteInstance(demo, id)
    expect(await metrics()).not.toMatch(/^coffer_operations\{/m)
  })
})

/** The lines of a log that are JSON. */
function linesOf(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line))
}
