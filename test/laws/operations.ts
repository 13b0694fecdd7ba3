import { expect } from '@jest/globals'
import type { TaskmanagerMethods } from '../../lib/contracts/taskmanager.ts'
import { sagas } from '../../lib/instances/index.ts'
import { hasEnded, type Saga, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import { ramQuota } from '../../lib/model/flavor.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { World } from '../sim/world.ts'
import {
  expectEmptyMachine,
  expectMachineMatches,
  expectMemoryMatches,
  expectNoSecrets,
  expectNothingLeft,
  expectSecretsErased,
  type Scenario,
  scenarios,
  theInstance,
  usedQuota,
} from './scenarios.ts'

export type OperationName = keyof TaskmanagerMethods
export const OPERATIONS = Object.keys(scenarios) as OperationName[]

export const sagaOf = (name: OperationName): Saga<unknown, Platform> => sagas[name]
export const scenarioOf = (name: OperationName): Scenario => scenarios[name]

/** A world in which the operation can be requested. */
export async function preparedWorld(name: OperationName): Promise<World> {
  const world = await new World().open()
  await scenarios[name].before(world)
  return world
}

/** Requests the operation, and stops as soon as the control plane has had so many effects since, or all has ended. */
export async function startUntilEffect(world: World, name: OperationName, effect: number): Promise<void> {
  const start = world.effects
  await world.request(platform => scenarios[name].begin(platform))
  await world.until(`effect ${effect}`, async () => world.effects >= start + effect || (await isSettled(world)))
}

/** How many effects the operation has from its request to its end, if nothing disturbs it. */
export async function countEffects(name: OperationName): Promise<number> {
  const world = await preparedWorld(name)
  const start = world.effects
  await world.request(platform => scenarios[name].begin(platform))
  await world.until('end', () => isSettled(world))
  return world.effects - start
}

/** Whether every operation has ended. */
export async function isSettled(world: World): Promise<boolean> {
  const records = (await world.sagas()) as SagaRecord[]
  return records.length > 0 && records.every(hasEnded)
}

/** What is true at the end of every operation, however it went: quota, machine and records agree, no secret is left. */
export async function expectSettled(world: World): Promise<void> {
  await expectSecretsErased(world)
  await expectMemoryMatches(world)
  const instance = await theInstance(world)
  if (!instance) return expectNothingLeft(world)
  expect(instance.operation).toBeUndefined()
  await expectNoSecrets(world)
  if (instance.quotaReleased) {
    expectEmptyMachine(world)
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: 0, volumes: 0 })
  } else {
    const { volume } = instance
    expect(await usedQuota(world)).toEqual({ instances: 1, ram: ramQuota(instance), volumes: volume.sizeGb })
    expectMachineMatches(world, instance)
  }
}
