import { beforeEach, describe, expect, it } from '@jest/globals'
import { agentCommands, commandId, guestClient } from '../../lib/agents/agent.ts'
import { receiveMessage } from '../../lib/conductor/reports.ts'
import { guestSubject } from '../../lib/contracts/conductor.ts'
import { Fault } from '../../lib/kit/errors.ts'
import { BadMessage } from '../../lib/kit/rpc/contract.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { PROJECT, scenarios, theInstance } from '../laws/scenarios.ts'
import { sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'

/** A tenant's superuser has its agent's credentials and keys: what it sends is genuine, whatever it says. */
describe('an agent that a tenant has taken over', () => {
  let world: World
  let instance: string
  beforeEach(async () => {
    world = await new World(1).open()
    await scenarios.create_instance.begin(world.platform)
    await world.until('instance', () => scenarios.create_instance.done(world))
    instance = (await theInstance(world))?.id ?? ''
  })

  const seal = (kind: 'answer' | 'report', id: string, payload: unknown) =>
    world.platform.sealer.seal(
      {
        subject: guestSubject(instance),
        generation: 1,
        direction: 'up',
        kind,
        id,
        expires: world.clock.now() + 60_000,
      },
      payload,
    )
  const later = () => (world.clock.now() + 1_000) * 1_000
  const report = async (method: string, input: unknown, sequence = later()) =>
    receiveMessage(world.platform, await seal('report', 'report-1', { method, input, sequence }))

  /** What a caller gets whose query is answered with the payload, before the real agent answers. */
  async function answerWith(payload: unknown): Promise<unknown> {
    const { platform } = world
    const ids: string[] = []
    const uuid = () => {
      ids.push(platform.random.uuid())
      return ids.at(-1) ?? ''
    }
    const listening: Platform = { ...platform, random: { ...platform.random, uuid } }
    const context = { project: PROJECT, instance, requestId: 'req-2' }
    const outcome = guestClient(listening, context)
      .list_users({ limit: 5 })
      .catch((error: unknown) => error)
    await world.clock.advance(0)
    for (const id of ids) await receiveMessage(platform, await seal('answer', id, payload))
    return outcome
  }

  it.each([101, 100, 200, 204, 304, 42, 1000, 0, -1, 401, 403, 413, 502, 2 ** 40])(
    'cannot make %i the status of an answer: it is 500',
    async code => {
      const outcome = await answerWith({ refused: { code, message: 'as I like it' } })
      expect(outcome).toMatchObject({ status: 500, message: 'as I like it' })
    },
  )

  it.each([400, 404, 409, 422, 501])('can refuse with %i', async code => {
    expect(await answerWith({ refused: { code, message: 'no' } })).toMatchObject({ status: code, message: 'no' })
  })

  it('cannot make an answer of 200,000 characters, or one that no store can hold', async () => {
    for (const payload of [{ refused: { code: 400, message: 'x'.repeat(200_000) } }, { failed: 'x'.repeat(200_000) }]) {
      const outcome = (await answerWith(payload)) as Fault
      expect(outcome).toBeInstanceOf(Fault)
      expect(outcome.message.length).toBeLessThan(2_100)
    }
    expect(await answerWith({ failed: 'a\0b\ud800' })).toMatchObject({ message: 'a\ufffdb\ufffd' })
  })

  it('cannot fail a command with a status of its choice, or fill its record', async () => {
    const command = async () => {
      const context = { project: PROJECT, instance, requestId: 'req-3' }
      const issued = await guestClient(world.platform, context).create_database({ databases: [{ name: 'shop' }] })
      const row = async () => (await agentCommands.get(world.store, PROJECT, commandId(instance, issued.number)))?.body
      return { number: issued.number, row }
    }
    const failed = await command()
    await report('notify_exc_info', { number: failed.number, code: 304, message: 'x'.repeat(200_000) })
    const error = (await failed.row())?.error
    expect([error?.code, (error?.message.length ?? 0) < 2_100]).toEqual([500, true])
    const done = await command()
    await report('notify_end', { number: done.number, result: 'x'.repeat(150_000) })
    expect(await done.row()).toMatchObject({ status: 'failed', error: { code: 500 } })
  })

  it.each([
    ['used_bytes', -1],
    ['used_bytes', 1e308],
    ['used_bytes', 2 ** 54],
    ['last', -1],
    ['lease', 1e12],
  ])('cannot report %s of %d: nothing changes, and its next report counts', async (field, value) => {
    const heartbeat = { service_status: 'healthy', last: 1, version: '1' }
    const before = (await theInstance(world))?.volume
    await expect(report('heartbeat', { ...heartbeat, [field]: value })).rejects.toThrow(BadMessage)
    expect((await theInstance(world))?.volume).toEqual(before)
    await report('heartbeat', { ...heartbeat, used_bytes: 2 ** 20 })
    expect((await theInstance(world))?.volume.used).toBe(2 ** 20)
  })

  it.each([-1, 1e308, 2 ** 53])('cannot number its reports by %d', async sequence => {
    const heartbeat = { service_status: 'healthy', last: 1, version: '1' }
    await expect(report('heartbeat', heartbeat, sequence)).rejects.toThrow(BadMessage)
  })

  it('cannot make a heartbeat’s words longer than the API can show', async () => {
    await report('heartbeat', { service_status: 'failed', last: 1, version: '1', message: 'x'.repeat(200_000) })
    const response = await sendRequest(world, { method: 'GET', path: `/instances/${instance}`, project: PROJECT })
    expect([response?.status, (response?.text.length ?? 0) < 5_000]).toEqual([200, true])
  })

  it('cannot send a message that is larger than the queue’s largest', async () => {
    const answer = await seal('answer', 'question-1', { result: 'x'.repeat(600_000) })
    await expect(receiveMessage(world.platform, answer)).rejects.toThrow(BadMessage)
    expect((await world.store.all('answer', { limit: 10 })).items).toEqual([])
  })

  it('cannot fill the store with answers that nobody waits for', async () => {
    const stored = async () => (await world.store.all('answer', { limit: 1_000 })).items
    let dropped = 0
    for (let number = 0; number < 60; number++) {
      const answer = await seal('answer', `question-${number}`, { result: 'x'.repeat(200_000) })
      await receiveMessage(world.platform, answer).catch(() => dropped++)
    }
    const bytes = (await stored()).reduce((sum, { body }) => sum + JSON.stringify(body).length, 0)
    expect([dropped > 0, bytes <= 8.1 * 2 ** 20]).toEqual([true, true])
    await world.clock.advance(60_000)
    await receiveMessage(world.platform, await seal('answer', 'question-60', { result: 1 }))
  })
})
