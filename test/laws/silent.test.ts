import { describe, expect, it } from '@jest/globals'
import type { TaskmanagerMethods } from '../../lib/contracts/taskmanager.ts'
import { isOver, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import { HOST_ID, hostTopic } from '../sim/names.ts'
import { World } from '../sim/world.ts'
import { expectErased, expectItsMachine, expectNothingLeft, remove, scenarios, theInstance } from './scenarios.ts'

/** The sagas that turn round; what only runs forward is parked, and still tried. */
const NAMES = (Object.keys(scenarios) as (keyof TaskmanagerMethods)[]).filter(name => scenarios[name].failed)
/** Each step has ten minutes to get done, and as many to be undone. */
const DEADLINE_MS = 20 * 60_000 + 30_000

/** An operation whose machine hears nothing from its first step on, until it is over or parked. */
async function silenced(name: keyof TaskmanagerMethods): Promise<{ world: World; record: SagaRecord }> {
  const world = await new World().open()
  await scenarios[name].before(world)
  for (const topic of [hostTopic(HOST_ID), ...world.machine.topics]) world.deaf.add(topic)
  await world.request(platform => scenarios[name].begin(platform))
  const record = async () => ((await world.sagas()) as SagaRecord[]).find(saga => saga.name === name) as SagaRecord
  const isSeen = async () => isOver(await record()) || (await record()).parked === true
  await world.until('end or parking', isSeen, DEADLINE_MS)
  return { world, record: await record() }
}

async function isSettled(world: World): Promise<boolean> {
  return ((await world.sagas()) as SagaRecord[]).every(isOver)
}

describe.each(NAMES)('%s, with a machine that hears nothing', name => {
  it('turns round by its deadline, and ends once the machine hears again', async () => {
    const { world, record } = await silenced(name)
    expect([record.status, record.error]).toEqual([
      expect.stringMatching(/^(UNDOING|FAILED)$/),
      expect.stringContaining('in time'),
    ])
    world.deaf.clear()
    await world.until('end', () => isSettled(world))
    expect(await scenarios[name].failed?.(world)).toBe(true)
    const instance = await theInstance(world)
    if (instance && !instance.gaveBack) expectItsMachine(world, instance)
    await expectErased(world)
  })

  it('keeps no delete from its work', async () => {
    const { world } = await silenced(name)
    await world.request(remove)
    const begun = async () =>
      ((await world.sagas()) as SagaRecord[]).some(saga => saga.name === 'delete_instance' && saga.step > 0)
    await world.until('its first own step', begun, 60_000)
    world.deaf.clear()
    await world.until('end', async () => (await theInstance(world)) === undefined && (await isSettled(world)))
    await expectNothingLeft(world)
  })
})
