import { describe, expect, it } from '@jest/globals'
import { type ApiRequest, sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'
import { activeWorld, BODY, countOf, create, KEYED, sendUntilAnswered } from './api-requests.ts'
import { auditTrail, PROJECT } from './scenarios.ts'

describe('a dry run', () => {
  const dump = async (world: World) => {
    const kinds = ['instance', 'id', 'guest', 'command', 'saga', 'quota', 'idempotency', 'audit', 'answer', 'machine']
    return JSON.stringify(await Promise.all(kinds.map(kind => world.store.all(kind, { limit: 100 }))))
  }
  const dry = (method: string, path: string, body?: unknown): ApiRequest => ({
    method,
    path: `${path}?dry_run=true`,
    body,
    headers: KEYED,
  })

  it('of a create is answered as usual and changes nothing', async () => {
    const world = await new World().open()
    const before = await dump(world)
    const answer = await sendRequest(world, dry('POST', '/instances', BODY))
    expect([answer?.status, answer?.headers['X-Dry-Run'], world.effects]).toEqual([200, 'true', 0])
    const { id } = JSON.parse(answer?.text ?? '{}').instance
    expect((await sendRequest(world, { method: 'GET', path: `/instances/${id}` }))?.status).toBe(404)
    expect(await dump(world)).toBe(before)
    // Its key was not used.
    expect((await sendRequest(world, create({ body: { instance: { ...BODY.instance, name: 'real' } } })))?.status).toBe(
      200,
    )
  })

  it('is refused like the request itself', async () => {
    const world = await new World().open()
    const key = { project: PROJECT, id: 'quota#volumes' }
    await world.store.transact([{ op: 'add', key, field: 'used', by: 40 }])
    const overQuota = await sendRequest(world, dry('POST', '/instances', BODY))
    expect([overQuota?.status, overQuota?.headers['X-Dry-Run']]).toEqual([413, 'true'])
    const invalid = await sendRequest(world, dry('POST', '/instances', { instance: { name: '' } }))
    expect([invalid?.status, invalid?.headers['X-Dry-Run']]).toEqual([400, 'true'])
    expect(await auditTrail(world)).toEqual([])
  })

  it('of every mutation of an instance changes nothing', async () => {
    const { world, id } = await activeWorld()
    await world.clock.advance(5_000)
    const path = `/instances/${id}`
    const before = await dump(world)
    const [operation] = (await world.sagas()) as { id: string }[]
    const requests: [ApiRequest, number][] = [
      [dry('DELETE', path), 202],
      [dry('POST', `${path}/users`, { users: [{ name: 'bob', password: 'p1', databases: [] }] }), 202],
      [dry('PUT', `${path}/users`, { users: [{ name: 'ann', password: 'p2' }] }), 202],
      [dry('PUT', `${path}/users/ann/databases`, { databases: [{ name: 'cart' }] }), 202],
      [dry('DELETE', `${path}/users/ann`), 202],
      [dry('DELETE', `${path}/users/nobody`), 404],
      [dry('POST', `${path}/databases`, { databases: [{ name: 'stock' }] }), 202],
      [dry('DELETE', `${path}/databases/cart`), 202],
      [dry('POST', `${path}/operations/${operation?.id}/action`, { cancel: {} }), 409],
      [dry('POST', `${path}/action`, { reset_status: { force_delete: true } }), 202],
    ]
    for (const [request, status] of requests) {
      const answer = await sendUntilAnswered(world, request)
      expect([request.method, request.path, answer.status]).toEqual([request.method, request.path, status])
      expect(answer.headers['X-Dry-Run']).toBe('true')
    }
    const withoutReports = (text: string) =>
      text.replaceAll(/"agentReport":\{[^}]*\}/g, '').replaceAll(/"version":\d+/g, '')
    expect(withoutReports(await dump(world))).toBe(withoutReports(before))
    const [guest] = world.machine.servers.values()
    expect(guest?.driver.executed).toEqual(['prepare', 'create_database cart', 'create_user ann'])
  })

  it.each(['yes', '1', 'TRUE', ''])('refuses dry_run=%s', async value => {
    const world = await new World().open()
    expect((await sendRequest(world, create({ path: `/instances?dry_run=${value}` })))?.status).toBe(400)
    expect(await countOf(world, 'instance')).toBe(0)
  })

  it('is not made by dry_run=false, and the parameter is ignored on reads', async () => {
    const world = await new World().open()
    expect((await sendRequest(world, create({ path: '/instances?dry_run=false' })))?.status).toBe(200)
    expect(await countOf(world, 'instance')).toBe(1)
    const read = await sendRequest(world, { method: 'GET', path: '/instances?dry_run=yes' })
    expect([read?.status, read?.headers['X-Dry-Run']]).toEqual([200, undefined])
  })
})
