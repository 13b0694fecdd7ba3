import { describe, expect, it } from '@jest/globals'
import type { TaskmanagerMethods } from '../../lib/contracts/taskmanager.ts'
import { hasEnded, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import { HOST_ID, hostTopic } from '../sim/names.ts'
import { World } from '../sim/world.ts'
import {
  deleteInstance,
  expectMachineMatches,
  expectNothingLeft,
  expectSecretsErased,
  scenarios,
  theInstance,
} from './scenarios.ts'

/** The operations that can be undone; the others are parked past their deadline, and still tried. */
const NAMES = (Object.keys(scenarios) as (keyof TaskmanagerMethods)[]).filter(name => scenarios[name].failed)
/** Ten minutes to do a step and ten to undo it, and some slack. */
const DEADLINE_MS = 20 * 60_000 + 30_000

/** Runs an operation whose machine and agents get no message, until it has ended or is parked. */
async function runUnreachable(name: keyof TaskmanagerMethods): Promise<{ world: World; record: SagaRecord }> {
  const world = await new World().open()
  await scenarios[name].before(world)
  for (const topic of [hostTopic(HOST_ID), ...world.machine.topics]) world.droppedTopics.add(topic)
  await world.request(platform => scenarios[name].begin(platform))
  const record = async () => ((await world.sagas()) as SagaRecord[]).find(saga => saga.name === name) as SagaRecord
  const hasStopped = async () => hasEnded(await record()) || (await record()).parked === true
  await world.until('end or parking', hasStopped, DEADLINE_MS)
  return { world, record: await record() }
}

async function isSettled(world: World): Promise<boolean> {
  return ((await world.sagas()) as SagaRecord[]).every(hasEnded)
}

describe.each(NAMES)('%s on a machine that gets no messages', name => {
  it('is rolled back at its deadline, and ends once the machine gets messages again', async () => {
    const { world, record } = await runUnreachable(name)
    expect([record.status, record.error]).toEqual([
      expect.stringMatching(/^(UNDOING|FAILED)$/),
      expect.stringContaining('in time'),
    ])
    world.droppedTopics.clear()
    await world.until('end', () => isSettled(world))
    expect(await scenarios[name].failed?.(world)).toBe(true)
    const instance = await theInstance(world)
    if (instance && !instance.quotaReleased) expectMachineMatches(world, instance)
    await expectSecretsErased(world)
  })

  it('does not block a delete', async () => {
    const { world } = await runUnreachable(name)
    await world.request(deleteInstance)
    const hasPassedFirstStep = async () =>
      ((await world.sagas()) as SagaRecord[]).some(saga => saga.name === 'delete_instance' && saga.step > 0)
    await world.until('second step of the delete', hasPassedFirstStep, 60_000)
    world.droppedTopics.clear()
    await world.until('end', async () => (await theInstance(world)) === undefined && (await isSettled(world)))
    await expectNothingLeft(world)
  })
})
