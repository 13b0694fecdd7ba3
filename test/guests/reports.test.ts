import { beforeEach, describe, expect, it } from '@jest/globals'
import { guestSubject } from '../../lib/contracts/conductor.ts'
import { guestClient } from '../../lib/guests/guest.ts'
import { receive } from '../../lib/guests/reports.ts'
import { derivedKeys } from '../../lib/kit/keys.ts'
import { BadSeal, derivedEnd, readEnvelope, type Sealer, sealer } from '../../lib/kit/seal.ts'
import { seededRandom } from '../kit/random.ts'
import { PROJECT, scenarios, theInstance } from '../laws/scenarios.ts'
import { World } from '../sim/world.ts'

describe('an answer', () => {
  let world: World
  let instance: string
  beforeEach(() => begin(true))

  /** `apart`: the conductor and who asks are processes of their own. */
  async function begin(apart: boolean): Promise<void> {
    world = await new World(1, { apart }).open()
    await scenarios.create_instance.begin(world.platform)
    await world.until('instance', () => scenarios.create_instance.done(world))
    instance = (await theInstance(world))?.id ?? ''
  }

  const answerBy = (by: Sealer, of = instance, payload: unknown = { result: 'x'.repeat(200_000) }) =>
    by.seal(
      {
        subject: guestSubject(of),
        generation: 1,
        direction: 'up',
        kind: 'answer',
        id: 'question-1',
        expires: world.clock.now() + 60_000,
      },
      payload,
    )
  const kept = async () => (await world.store.all('answer', { limit: 10 })).items

  /** An agent's end whose keys come from elsewhere. */
  function stranger(): Sealer {
    const master = { id: 'k1', bytes: seededRandom(8).bytes(32) }
    return sealer(derivedEnd(derivedKeys({ current: async () => master, byId: async () => master })))
  }

  it('that is genuine is kept, and as closed as it came', async () => {
    const answer = await answerBy(world.platform.sealer)
    await receive(world.platform, answer)
    expect((await kept()).map(({ body }) => body)).toEqual([{ envelope: answer }])
  })

  it('that is forged leaves no record', async () => {
    await expect(receive(world.platform, await answerBy(stranger()))).rejects.toThrow(BadSeal)
    const genuine = await answerBy(world.platform.sealer)
    for (const change of [{ id: 'question-2' }, { expires: world.clock.now() + 90_000 }, { kid: 'k2' }]) {
      const forged = JSON.stringify({ ...readEnvelope(genuine), ...change })
      await expect(receive(world.platform, forged)).rejects.toThrow(BadSeal)
    }
    expect(await kept()).toEqual([])
    expect(world.written.has('answer')).toBe(false)
  })

  it('that is forged reaches nobody who waits in the same process', async () => {
    await begin(false)
    const { platform } = world
    let question = ''
    const ids = { ...platform.random, uuid: () => (question = platform.random.uuid()) }
    const asked = guestClient(
      { ...platform, random: ids },
      { project: PROJECT, instance, requestId: 'req-2' },
    ).list_users({ limit: 5 })
    let users: unknown
    const end = (how: unknown) => {
      users = how
    }
    asked.then(end, end)
    await world.clock.advance(0)
    const forged = { ...readEnvelope(await answerBy(stranger())), id: question }
    await expect(receive(platform, JSON.stringify(forged))).rejects.toThrow(BadSeal)
    await world.until('answer', async () => users !== undefined, 60_000)
    expect(users).toMatchObject({ items: [{ name: 'ann' }] })
  })
})
