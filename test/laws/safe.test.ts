import { describe, expect, it } from '@jest/globals'
import { commands } from '../../lib/guests/guest.ts'
import { type Answer, asked, type Sent } from '../sim/api.ts'
import { World } from '../sim/world.ts'
import { PROJECT, records, scenarios, theInstance, usedQuota } from './scenarios.ts'

const BODY = {
  instance: {
    name: 'shop',
    flavorRef: 1,
    volume: { size: 1 },
    users: [{ name: 'ann', password: 'canary-1', databases: [{ name: 'cart' }] }],
    databases: [{ name: 'cart' }],
  },
}
const KEYED = { 'idempotency-key': 'key-1' }

const create = (more: Partial<Sent> = {}): Sent => ({ method: 'POST', path: '/instances', body: BODY, headers: KEYED, ...more }) // biome-ignore format: one line
const countOf = async (world: World, kind: string) => (await world.store.all(kind, { limit: 100 })).items.length

async function active(): Promise<{ world: World; id: string }> {
  const world = await new World().open()
  await world.request(platform => scenarios.create_instance.begin(platform))
  await world.until('instance', () => scenarios.create_instance.done(world))
  return { world, id: (await theInstance(world))?.id ?? '' }
}

/** Asks, and lets the world go on until there is an answer: the agent has to take part. */
async function answered(world: World, sent: Sent): Promise<Answer> {
  let answer: Answer | undefined
  void asked(world, sent).then(got => {
    answer = got
  })
  await world.until('answer', async () => answer !== undefined, 60_000)
  return answer as Answer
}

describe('a create under an Idempotency-Key', () => {
  it('gives the first answer again, and creates once', async () => {
    const world = await new World().open()
    const first = await asked(world, create())
    const again = await asked(world, create())
    expect([first?.status, again?.status, again?.text]).toEqual([200, 200, first?.text])
    expect([first?.headers['Idempotency-Replayed'], again?.headers['Idempotency-Replayed']]).toEqual([
      undefined,
      'true',
    ])
    expect([await countOf(world, 'instance'), await countOf(world, 'saga')]).toEqual([1, 1])
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 512, volumes: 1 })
    // Another user's key is another key.
    expect((await asked(world, create({ user: 'u2' })))?.text).not.toBe(first?.text)
    // A day later it is forgotten.
    await world.clock.advance(86_400_001)
    expect((await asked(world, create()))?.text).not.toBe(first?.text)
    expect(await countOf(world, 'instance')).toBe(3)
  })

  it('holds for one request only: another body, path or query is refused', async () => {
    const world = await new World().open()
    const { instance } = BODY
    await asked(world, create())
    for (const other of [
      create({ body: { instance: { ...instance, name: 'other' } } }),
      create({ path: '/instances?x=1' }),
      create({ path: '/instances/' }),
    ]) {
      expect((await asked(world, other))?.status).toBe(422)
    }
    expect(await countOf(world, 'instance')).toBe(1)
  })

  it.each(['', 'x'.repeat(256), 'ü', 'a\tb'])('refuses %j as a key', async key => {
    const world = await new World().open()
    expect((await asked(world, create({ headers: { 'idempotency-key': key } })))?.status).toBe(400)
    expect(await countOf(world, 'instance')).toBe(0)
  })

  it('that was refused is refused again, without being tried', async () => {
    const world = await new World().open()
    const key = { project: PROJECT, id: 'quota#volumes' }
    await world.store.transact([{ op: 'add', key, field: 'used', by: 40 }])
    const first = await asked(world, create())
    await world.store.transact([{ op: 'add', key, field: 'used', by: -40 }])
    const again = await asked(world, create())
    expect([first?.status, again?.status, again?.text]).toEqual([413, 413, first?.text])
  })

  it('at the same moment creates once: the other is told the same, or to wait', async () => {
    const world = await new World().open()
    const both = await Promise.all([1, 2, 3].map(() => asked(world, create())))
    for (const answer of both) expect([200, 409]).toContain(answer?.status)
    expect(await countOf(world, 'instance')).toBe(1)
    expect(new Set(both.filter(answer => answer?.status === 200).map(answer => answer?.text)).size).toBe(1)
  })

  it('keeps no secret readable', async () => {
    const world = await new World().open()
    const first = await asked(world, create())
    const kept = JSON.stringify((await world.store.all('idempotency', { limit: 9 })).items)
    expect(kept).not.toContain('canary-1')
    expect(kept).not.toContain(String(JSON.parse(first?.text ?? '{}').instance.id))
    expect(JSON.stringify(await records(world))).not.toContain('canary-1')
  })

  it('is done once, whenever the process dies, and its repeat tells what was made', async () => {
    const calm = await new World().open()
    await asked(calm, create())
    const effects = calm.effects
    expect(effects).toBe(2)
    for (const when of ['before', 'after'] as const) {
      for (let effect = 1; effect <= effects; effect++) {
        const world = await new World().open()
        world.crashAt({ effect, when })
        expect(await asked(world, create())).toBeUndefined()
        const made = await theInstance(world)
        const again = await asked(world, create())
        expect([effect, when, again?.status]).toEqual([effect, when, 200])
        const { id } = JSON.parse(again?.text ?? '{}').instance
        if (made) expect(id).toBe(made.id)
        expect((await theInstance(world))?.id).toBe(id)
        expect([await countOf(world, 'instance'), await countOf(world, 'saga')]).toEqual([1, 1])
        await world.until('instance', () => scenarios.create_instance.done(world))
        expect((await records(world)).map(({ status, method }) => [method, status])).toEqual([['POST', 200]])
      }
    }
  })
})

describe('an Idempotency-Key of what waits for its agent', () => {
  const users = (id: string): Sent => ({
    method: 'POST',
    path: `/instances/${id}/users`,
    body: { users: [{ name: 'bob', password: 'canary-1', databases: [] }] },
    headers: KEYED,
  })

  it('gives the answer again though the user is there now', async () => {
    const { world, id } = await active()
    expect((await answered(world, users(id))).status).toBe(202)
    await world.until('user', async () => (await countOf(world, 'command')) === 2)
    const again = await answered(world, users(id))
    expect([again.status, again.text, again.headers['Idempotency-Replayed']]).toEqual([202, '', 'true'])
    // Without the key it is what the agent says.
    expect((await answered(world, { ...users(id), headers: {} })).status).toBe(400)
    expect((await commands.all(world.store, { limit: 9 })).items).toHaveLength(2)
  })

  it('asks the agent once, whenever the process dies', async () => {
    for (const when of ['before', 'after'] as const) {
      for (let effect = 1; effect <= 6; effect++) {
        const { world, id } = await active()
        world.crashAt({ effect: world.effects + effect, when })
        let over = false
        void asked(world, users(id)).then(
          () => {
            over = true
          },
          () => {
            over = true
          },
        )
        await world.until('end', async () => over, 60_000)
        const again = await answered(world, users(id))
        expect([202, 409]).toContain(again.status)
        const issued = (await commands.all(world.store, { limit: 9 })).items.filter(
          ({ body }) => body.method === 'create_user',
        )
        expect([effect, when, issued.length]).toEqual([effect, when, 1])
      }
    }
  }, 60_000)
})

describe('a dry run', () => {
  const dump = async (world: World) => {
    const kinds = ['instance', 'id', 'guest', 'command', 'saga', 'quota', 'idempotency', 'audit', 'answer', 'machine']
    return JSON.stringify(await Promise.all(kinds.map(kind => world.store.all(kind, { limit: 100 }))))
  }
  const dry = (method: string, path: string, body?: unknown): Sent => ({
    method,
    path: `${path}?dry_run=true`,
    body,
    headers: KEYED,
  })

  it('of a create answers as usual and changes nothing', async () => {
    const world = await new World().open()
    const before = await dump(world)
    const answer = await asked(world, dry('POST', '/instances', BODY))
    expect([answer?.status, answer?.headers['X-Dry-Run'], world.effects]).toEqual([200, 'true', 0])
    const { id } = JSON.parse(answer?.text ?? '{}').instance
    expect((await asked(world, { method: 'GET', path: `/instances/${id}` }))?.status).toBe(404)
    expect(await dump(world)).toBe(before)
    // Its key was not used.
    expect((await asked(world, create({ body: { instance: { ...BODY.instance, name: 'real' } } })))?.status).toBe(200)
  })

  it('says what would be refused', async () => {
    const world = await new World().open()
    const key = { project: PROJECT, id: 'quota#volumes' }
    await world.store.transact([{ op: 'add', key, field: 'used', by: 40 }])
    const over = await asked(world, dry('POST', '/instances', BODY))
    expect([over?.status, over?.headers['X-Dry-Run']]).toEqual([413, 'true'])
    const bad = await asked(world, dry('POST', '/instances', { instance: { name: '' } }))
    expect([bad?.status, bad?.headers['X-Dry-Run']]).toEqual([400, 'true'])
    expect(await records(world)).toEqual([])
  })

  it('of every mutation of an instance changes nothing', async () => {
    const { world, id } = await active()
    await world.clock.advance(5_000)
    const at = `/instances/${id}`
    const before = await dump(world)
    const [operation] = (await world.sagas()) as { id: string }[]
    const tried: [Sent, number][] = [
      [dry('DELETE', at), 202],
      [dry('POST', `${at}/users`, { users: [{ name: 'bob', password: 'p1', databases: [] }] }), 202],
      [dry('PUT', `${at}/users`, { users: [{ name: 'ann', password: 'p2' }] }), 202],
      [dry('PUT', `${at}/users/ann/databases`, { databases: [{ name: 'cart' }] }), 202],
      [dry('DELETE', `${at}/users/ann`), 202],
      [dry('DELETE', `${at}/users/nobody`), 404],
      [dry('POST', `${at}/databases`, { databases: [{ name: 'more' }] }), 202],
      [dry('DELETE', `${at}/databases/cart`), 202],
      [dry('POST', `${at}/operations/${operation?.id}/action`, { cancel: {} }), 409],
      [dry('POST', `${at}/action`, { reset_status: { force_delete: true } }), 202],
    ]
    for (const [sent, status] of tried) {
      const answer = await answered(world, sent)
      expect([sent.method, sent.path, answer.status]).toEqual([sent.method, sent.path, status])
      expect(answer.headers['X-Dry-Run']).toBe('true')
    }
    const changed = (text: string) => text.replaceAll(/"service":\{[^}]*\}/g, '').replaceAll(/"version":\d+/g, '')
    expect(changed(await dump(world))).toBe(changed(before))
    const [guest] = world.machine.servers.values()
    expect(guest?.driver.executed).toEqual(['prepare', 'create_database cart', 'create_user ann'])
  })

  it.each(['yes', '1', 'TRUE', ''])('refuses dry_run=%s', async value => {
    const world = await new World().open()
    expect((await asked(world, create({ path: `/instances?dry_run=${value}` })))?.status).toBe(400)
    expect(await countOf(world, 'instance')).toBe(0)
  })

  it('false is none, and of a read means nothing', async () => {
    const world = await new World().open()
    expect((await asked(world, create({ path: '/instances?dry_run=false' })))?.status).toBe(200)
    expect(await countOf(world, 'instance')).toBe(1)
    const read = await asked(world, { method: 'GET', path: '/instances?dry_run=yes' })
    expect([read?.status, read?.headers['X-Dry-Run']]).toEqual([200, undefined])
  })
})

describe('audit', () => {
  it('has a record of every mutation, done or refused, and of no read', async () => {
    const { world, id } = await active()
    const at = `/instances/${id}`
    await answered(world, { method: 'POST', path: `${at}/databases`, body: { databases: [{ name: 'more' }] } })
    await world.clock.advance(1_000)
    await answered(world, { method: 'PUT', path: `${at}/users/ann/databases`, body: { databases: [{ name: 'cart' }] } })
    await world.clock.advance(1_000)
    await asked(world, { method: 'GET', path: at })
    await asked(world, { method: 'POST', path: '/nowhere', body: {} })
    await world.clock.advance(1_000)
    await asked(world, { method: 'POST', path: '/instances', body: { instance: {} } })
    await world.clock.advance(1_000)
    const gone = await asked(world, { method: 'DELETE', path: at, user: 'u2' })
    const found = await records(world)
    expect(found.map(({ method, route, status, user }) => [method, route, status, user])).toEqual([
      ['DELETE', '/instances/{id}', 202, 'u2'],
      ['POST', '/instances', 400, 'u1'],
      ['POST', undefined, 404, 'u1'],
      ['PUT', '/instances/{id}/users/{user}/databases', 202, 'u1'],
      ['POST', '/instances/{id}/databases', 202, 'u1'],
    ])
    expect(found[0]).toMatchObject({
      targets: { id },
      instance: id,
      remote: '127.0.0.9',
      requestId: gone?.headers['X-OpenStack-Request-Id'],
    })
    expect(found[3]?.targets).toEqual({ id, user: 'ann' })
    expect(found.map(({ fields }) => fields)).toEqual([
      undefined,
      ['instance'],
      undefined,
      ['databases'],
      ['databases'],
    ])
    const listed = async (query: string) => {
      const answer = await asked(world, { method: 'GET', path: `/audit${query}` })
      return [answer?.status, (JSON.parse(answer?.text ?? '{}').audit ?? []).map((row: { id: string }) => row.id)]
    }
    const ids = found.map(({ id: one }) => one)
    expect(await listed('')).toEqual([200, ids])
    expect(await listed('?limit=2')).toEqual([200, ids.slice(0, 2)])
    expect(await listed(`?marker=${ids[1]}`)).toEqual([200, ids.slice(2)])
    expect(await listed(`?instance_id=${id}`)).toEqual([200, [ids[0], ids[3], ids[4]]])
    const since = new Date(found[1]?.at ?? 0).toISOString()
    expect(await listed(`?since=${since}`)).toEqual([200, ids.slice(0, 2)])
    expect(await listed('?since=yesterday')).toEqual([400, []])
    expect(await listed('?instance_id=x')).toEqual([400, []])
    // Kept for ninety days.
    await world.clock.advance(91 * 86_400_000)
    expect(await records(world)).toEqual([])
  })

  it('tells by names alone what was asked for, and in its operation what came of it', async () => {
    const { world, id } = await active()
    const action = { method: 'POST', path: `/instances/${id}/action` }
    const bodies = [{ resize: { volume: { size: 0 } } }, { resize: { flavorRef: '9' } }, { restart: {} }]
    const secret = { method: 'PUT', path: `/instances/${id}/users/ann`, body: { user: { password: 'canary-2' } } }
    const xml = { ...action, body: '<restart/>', headers: { 'content-type': 'application/xml' } }
    for (const sent of [...bodies.map(body => ({ ...action, body })), { ...action, body: { 'a b': 1 } }, secret, xml]) {
      await world.clock.advance(1_000)
      await asked(world, sent)
    }
    const found = (await records(world)).toReversed()
    expect(found.map(({ fields }) => fields)).toEqual([
      ['resize.volume'],
      ['resize.flavorRef'],
      ['restart'],
      undefined,
      ['user.password'],
      ['restart'],
    ])
    expect(JSON.stringify(found)).not.toContain('canary')
    const { text } = (await asked(world, { method: 'GET', path: `/instances/${id}/operations` })) as Answer
    const [operation] = JSON.parse(text).operations
    expect([operation.name, operation.request_id]).toEqual(['restart', found[2]?.requestId])
  })

  it('costs no transaction where the work has one, and one where not', async () => {
    const world = await new World().open()
    await asked(world, create({ headers: {} }))
    // The transaction and the doorbell.
    expect(world.effects).toBe(2)
    await asked(world, { method: 'POST', path: '/nowhere' })
    expect(world.effects).toBe(3)
  })

  it('records no more than sixty refusals a minute', async () => {
    const world = await new World().open()
    await world.clock.advance(120_000)
    for (let count = 0; count < 70; count++) await asked(world, { method: 'DELETE', path: '/nowhere' })
    expect((await records(world)).length).toBe(60)
    await asked(world, create())
    expect((await records(world)).length).toBe(61)
  })
})
