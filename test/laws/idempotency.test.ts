import { describe, expect, it } from '@jest/globals'
import { agentCommands } from '../../lib/agents/agent.ts'
import { type ApiRequest, sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'
import { activeWorld, BODY, countOf, create, KEYED, sendUntilAnswered } from './api-requests.ts'
import { auditTrail, PROJECT, scenarios, theInstance, usedQuota } from './scenarios.ts'

describe('a create under an Idempotency-Key', () => {
  it('returns the first answer again, and creates one instance', async () => {
    const world = await new World().open()
    const first = await sendRequest(world, create())
    const again = await sendRequest(world, create())
    expect([first?.status, again?.status, again?.text]).toEqual([200, 200, first?.text])
    expect([first?.headers['Idempotency-Replayed'], again?.headers['Idempotency-Replayed']]).toEqual([
      undefined,
      'true',
    ])
    expect([await countOf(world, 'instance'), await countOf(world, 'saga')]).toEqual([1, 1])
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 512, volumes: 1 })
    // Another user's key is another key.
    expect((await sendRequest(world, create({ user: 'u2' })))?.text).not.toBe(first?.text)
    // The key expires after a day.
    await world.clock.advance(86_400_001)
    expect((await sendRequest(world, create()))?.text).not.toBe(first?.text)
    expect(await countOf(world, 'instance')).toBe(3)
  })

  it('is refused for another body, path or query', async () => {
    const world = await new World().open()
    const { instance } = BODY
    await sendRequest(world, create())
    for (const other of [
      create({ body: { instance: { ...instance, name: 'other' } } }),
      create({ path: '/instances?x=1' }),
      create({ path: '/instances/' }),
    ]) {
      expect((await sendRequest(world, other))?.status).toBe(422)
    }
    expect(await countOf(world, 'instance')).toBe(1)
  })

  it.each(['', 'x'.repeat(256), 'ü', 'a\tb'])('refuses %j as a key', async key => {
    const world = await new World().open()
    expect((await sendRequest(world, create({ headers: { 'idempotency-key': key } })))?.status).toBe(400)
    expect(await countOf(world, 'instance')).toBe(0)
  })

  it('that was refused is refused again without being tried', async () => {
    const world = await new World().open()
    const key = { project: PROJECT, id: 'quota#volumes' }
    await world.store.transact([{ op: 'add', key, field: 'used', by: 40 }])
    const first = await sendRequest(world, create())
    await world.store.transact([{ op: 'add', key, field: 'used', by: -40 }])
    const again = await sendRequest(world, create())
    expect([first?.status, again?.status, again?.text]).toEqual([413, 413, first?.text])
  })

  it('sent three times at once creates one instance: the others get the same answer or 409', async () => {
    const world = await new World().open()
    const answers = await Promise.all([1, 2, 3].map(() => sendRequest(world, create())))
    for (const answer of answers) expect([200, 409]).toContain(answer?.status)
    expect(await countOf(world, 'instance')).toBe(1)
    expect(new Set(answers.filter(answer => answer?.status === 200).map(answer => answer?.text)).size).toBe(1)
  })

  it('stores no readable secret', async () => {
    const world = await new World().open()
    const first = await sendRequest(world, create())
    const stored = JSON.stringify((await world.store.all('idempotency', { limit: 9 })).items)
    expect(stored).not.toContain('canary-1')
    expect(stored).not.toContain(String(JSON.parse(first?.text ?? '{}').instance.id))
    expect(JSON.stringify(await auditTrail(world))).not.toContain('canary-1')
  })

  it('is done once if the process dies at any effect, and its repetition returns the created instance', async () => {
    const undisturbed = await new World().open()
    await sendRequest(undisturbed, create())
    const effects = undisturbed.effects
    expect(effects).toBe(2)
    for (const when of ['before', 'after'] as const) {
      for (let effect = 1; effect <= effects; effect++) {
        const world = await new World().open()
        world.crashAt({ effect, when })
        expect(await sendRequest(world, create())).toBeUndefined()
        const created = await theInstance(world)
        const again = await sendRequest(world, create())
        expect([effect, when, again?.status]).toEqual([effect, when, 200])
        const { id } = JSON.parse(again?.text ?? '{}').instance
        if (created) expect(id).toBe(created.id)
        expect((await theInstance(world))?.id).toBe(id)
        expect([await countOf(world, 'instance'), await countOf(world, 'saga')]).toEqual([1, 1])
        await world.until('instance', () => scenarios.create_instance.done(world))
        expect((await auditTrail(world)).map(({ status, method }) => [method, status])).toEqual([['POST', 200]])
      }
    }
  })
})

describe('an Idempotency-Key of a request that waits for the agent', () => {
  const users = (id: string): ApiRequest => ({
    method: 'POST',
    path: `/instances/${id}/users`,
    body: { users: [{ name: 'bob', password: 'canary-1', databases: [] }] },
    headers: KEYED,
  })

  it('returns the first answer again though the user exists now', async () => {
    const { world, id } = await activeWorld()
    expect((await sendUntilAnswered(world, users(id))).status).toBe(202)
    await world.until('user', async () => (await countOf(world, 'command')) === 2)
    const again = await sendUntilAnswered(world, users(id))
    expect([again.status, again.text, again.headers['Idempotency-Replayed']]).toEqual([202, '', 'true'])
    // Without the key the agent's view counts.
    expect((await sendUntilAnswered(world, { ...users(id), headers: {} })).status).toBe(400)
    expect((await agentCommands.all(world.store, { limit: 9 })).items).toHaveLength(2)
  })

  it('issues one command if the process dies at any effect', async () => {
    for (const when of ['before', 'after'] as const) {
      for (let effect = 1; effect <= 6; effect++) {
        const { world, id } = await activeWorld()
        world.crashAt({ effect: world.effects + effect, when })
        let hasEnded = false
        void sendRequest(world, users(id)).then(
          () => {
            hasEnded = true
          },
          () => {
            hasEnded = true
          },
        )
        await world.until('end', async () => hasEnded, 60_000)
        const again = await sendUntilAnswered(world, users(id))
        expect([202, 409]).toContain(again.status)
        const issued = (await agentCommands.all(world.store, { limit: 9 })).items.filter(
          ({ body }) => body.method === 'create_user',
        )
        expect([effect, when, issued.length]).toEqual([effect, when, 1])
      }
    }
  }, 60_000)
})
