import { describe, expect, it } from '@jest/globals'
import { type ApiResponse, sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'
import { activeWorld, create, sendUntilAnswered } from './api-requests.ts'
import { auditTrail } from './scenarios.ts'

describe('the audit', () => {
  it('has a record of every mutation, done or refused, and of no read', async () => {
    const { world, id } = await activeWorld()
    const path = `/instances/${id}`
    await sendUntilAnswered(world, {
      method: 'POST',
      path: `${path}/databases`,
      body: { databases: [{ name: 'stock' }] },
    })
    await world.clock.advance(1_000)
    await sendUntilAnswered(world, {
      method: 'PUT',
      path: `${path}/users/ann/databases`,
      body: { databases: [{ name: 'cart' }] },
    })
    await world.clock.advance(1_000)
    await sendRequest(world, { method: 'GET', path })
    await sendRequest(world, { method: 'POST', path: '/nowhere', body: {} })
    await world.clock.advance(1_000)
    await sendRequest(world, { method: 'POST', path: '/instances', body: { instance: {} } })
    await world.clock.advance(1_000)
    const deletion = await sendRequest(world, { method: 'DELETE', path, user: 'u2' })
    const trail = await auditTrail(world)
    expect(trail.map(({ method, route, status, user }) => [method, route, status, user])).toEqual([
      ['DELETE', '/instances/{id}', 202, 'u2'],
      ['POST', '/instances', 400, 'u1'],
      ['POST', undefined, 404, 'u1'],
      ['PUT', '/instances/{id}/users/{user}/databases', 202, 'u1'],
      ['POST', '/instances/{id}/databases', 202, 'u1'],
    ])
    expect(trail[0]).toMatchObject({
      targets: { id },
      instance: id,
      remote: '127.0.0.9',
      requestId: deletion?.headers['X-OpenStack-Request-Id'],
    })
    expect(trail[3]?.targets).toEqual({ id, user: 'ann' })
    expect(trail.map(({ fields }) => fields)).toEqual([
      undefined,
      ['instance'],
      undefined,
      ['databases'],
      ['databases'],
    ])
    const list = async (query: string) => {
      const answer = await sendRequest(world, { method: 'GET', path: `/audit${query}` })
      return [answer?.status, (JSON.parse(answer?.text ?? '{}').audit ?? []).map((row: { id: string }) => row.id)]
    }
    const ids = trail.map(record => record.id)
    expect(await list('')).toEqual([200, ids])
    expect(await list('?limit=2')).toEqual([200, ids.slice(0, 2)])
    expect(await list(`?marker=${ids[1]}`)).toEqual([200, ids.slice(2)])
    expect(await list(`?instance_id=${id}`)).toEqual([200, [ids[0], ids[3], ids[4]]])
    const since = new Date(trail[1]?.at ?? 0).toISOString()
    expect(await list(`?since=${since}`)).toEqual([200, ids.slice(0, 2)])
    expect(await list('?since=yesterday')).toEqual([400, []])
    expect(await list('?instance_id=x')).toEqual([400, []])
    // Kept for ninety days.
    await world.clock.advance(91 * 86_400_000)
    expect(await auditTrail(world)).toEqual([])
  })

  it('names the fields of a request without their values, and the operation has its request id', async () => {
    const { world, id } = await activeWorld()
    const action = { method: 'POST', path: `/instances/${id}/action` }
    const bodies = [{ resize: { volume: { size: 0 } } }, { resize: { flavorRef: '9' } }, { restart: {} }]
    const secret = { method: 'PUT', path: `/instances/${id}/users/ann`, body: { user: { password: 'canary-2' } } }
    const xml = { ...action, body: '<restart/>', headers: { 'content-type': 'application/xml' } }
    for (const request of [
      ...bodies.map(body => ({ ...action, body })),
      { ...action, body: { 'a b': 1 } },
      secret,
      xml,
    ]) {
      await world.clock.advance(1_000)
      await sendRequest(world, request)
    }
    const trail = (await auditTrail(world)).toReversed()
    expect(trail.map(({ fields }) => fields)).toEqual([
      ['resize.volume'],
      ['resize.flavorRef'],
      ['restart'],
      undefined,
      ['user.password'],
      ['restart'],
    ])
    expect(JSON.stringify(trail)).not.toContain('canary')
    const { text } = (await sendRequest(world, { method: 'GET', path: `/instances/${id}/operations` })) as ApiResponse
    const [operation] = JSON.parse(text).operations
    expect([operation.name, operation.request_id]).toEqual(['restart', trail[2]?.requestId])
  })

  it('is written in the transaction of the work, and in its own one if there is none', async () => {
    const world = await new World().open()
    await sendRequest(world, create({ headers: {} }))
    // The transaction and the doorbell.
    expect(world.effects).toBe(2)
    await sendRequest(world, { method: 'POST', path: '/nowhere' })
    expect(world.effects).toBe(3)
  })

  it('records no more than sixty refusals a minute', async () => {
    const world = await new World().open()
    await world.clock.advance(120_000)
    for (let count = 0; count < 70; count++) await sendRequest(world, { method: 'DELETE', path: '/nowhere' })
    expect((await auditTrail(world)).length).toBe(60)
    await sendRequest(world, create())
    expect((await auditTrail(world)).length).toBe(61)
  })
})
