import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { sagas } from '../../lib/instances/index.ts'
import { agentCommandStep, agentCommandUndo } from '../../lib/instances/steps/agent-command.ts'
import { finishOperation, NoRequest, planOperation } from '../../lib/instances/steps/operation.ts'
import { requestDelete } from '../../lib/instances/verbs/delete.ts'
import { Fault, TerminalError } from '../../lib/kit/errors.ts'
import { hasEnded, type SagaRecord, type SagaRun, saga } from '../../lib/kit/saga/saga.ts'
import { commit } from '../../lib/kit/transaction.ts'
import { type Instance, instances } from '../../lib/model/instance.ts'
import { statusOf } from '../../lib/model/instance-status.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { type OperationSagas, operationRunner } from '../../lib/taskmanager/runner.ts'
import type { OperationName } from '../../lib/trove/operations.ts'
import { silentLog } from '../kit/random.ts'
import { perform } from '../sim/perform.ts'
import { World } from '../sim/world.ts'
import { createInstance, expectNothingLeft, PROJECT } from './scenarios.ts'

const NAME = 'restart_both' as OperationName
let failsAtSecond = false

const secondOf = (run: SagaRun<unknown, Platform>) => run.alsoHolds?.[0]?.id ?? ''

/** Restarts two databases, one after the other; to undo a restart is to restart again. */
const restartBoth = saga<NoRequest, Platform>(NAME, NoRequest, { onEnd: finishOperation({}) })
  .step('restart_first', {
    ...agentCommandStep('first', agent => agent.restart({})),
    ...agentCommandUndo('first-back', agent => agent.restart({})),
  })
  .step('restart_second', {
    ...agentCommandStep('second', agent => agent.restart({}), secondOf),
    ...agentCommandUndo('second-back', agent => agent.restart({}), secondOf),
  })
  .step('check_both', {
    async do() {
      if (failsAtSecond) throw new TerminalError('the second did not like it')
    },
  })

/** Starts the operation as the system does, without a request. */
const start = (platform: Platform, [first = '', second = '']: string[]) =>
  commit(platform, async () => {
    const items = await Promise.all([first, second].map(id => instances.get(platform.store, PROJECT, id)))
    const [main, other] = items
    if (!main || !other) throw new Fault(404, 'one of them is gone')
    return planOperation(platform, [main, other], { name: NAME, requestId: 'req-system', request: {} })
  })

async function deleteInstance(platform: Platform, id: string): Promise<void> {
  const caller = { project: PROJECT, user: 'u1', admin: false, requestId: 'req-1', baseUrl: '', query: {} }
  const call = { ...caller, deps: platform, method: 'DELETE', params: { id }, body: undefined, log: silentLog }
  await perform(platform, () => requestDelete(call))
}

const all = async (world: World): Promise<Instance[]> =>
  (await instances.list(world.store, PROJECT, { limit: 10 })).map(({ body }) => body)
const isIdle = ({ operation, server, agentReport }: Instance) =>
  !operation && server?.status === 'ACTIVE' && agentReport?.status === 'healthy'
const isSettled = async (world: World) => ((await world.sagas()) as SagaRecord[]).every(hasEnded)
const endings = async (world: World) =>
  ((await world.sagas()) as SagaRecord[]).filter(({ name }) => name === NAME).map(({ status }) => status)

/** A world with so many instances; returns their ids too. */
async function openWorld(count = 2): Promise<{ world: World; ids: string[] }> {
  failsAtSecond = false
  const world = await new World().open()
  const definitions = { ...sagas, [NAME]: restartBoth } as OperationSagas
  world.runWith(platform => operationRunner(platform, definitions))
  for (let created = 0; created < count; created++) await createInstance(world.platform)
  await world.until('instances', async () => (await all(world)).every(isIdle))
  return { world, ids: (await all(world)).map(({ id }) => id) }
}

/** Expects nothing to be held, and every instance to serve. */
async function expectReleased(world: World, ids: string[]): Promise<void> {
  const left = await all(world)
  expect(left.map(({ id, operation, abortedOperation }) => [id, operation, abortedOperation])).toEqual(
    ids.map(id => [id, undefined, undefined]),
  )
  expect(left.map(statusOf)).toEqual(ids.map(() => 'ACTIVE'))
}

async function countEffects(): Promise<number> {
  const { world, ids } = await openWorld()
  const before = world.effects
  await world.request(platform => start(platform, ids))
  await world.until('end', () => isSettled(world))
  return world.effects - before
}

describe('an operation on two instances', () => {
  it('is begun without a request, holds both while it runs, and releases both at its end', async () => {
    const { world, ids } = await openWorld()
    await world.request(platform => start(platform, ids))
    const held = await all(world)
    expect(new Set(held.map(({ operation }) => operation?.id)).size).toBe(1)
    await world.until('end', () => isSettled(world))
    expect(await endings(world)).toEqual(['DONE'])
    await expectReleased(world, ids)
    expect([...world.machine.servers.values()].map(({ driver }) => driver.executed.at(-1))).toEqual([
      'restart',
      'restart',
    ])
  })

  it('survives a crash at each of its effects', async () => {
    const effects = await countEffects()
    expect(effects).toBeGreaterThan(5)
    for (let effect = 1; effect <= effects; effect++) {
      for (const when of ['before', 'after'] as const) {
        const { world, ids } = await openWorld()
        world.crashAt({ effect: world.effects + effect, when })
        await world.request(platform => start(platform, ids))
        if ((await endings(world)).length === 0) await world.request(platform => start(platform, ids))
        await world.until(`end after a crash ${when} effect ${effect}`, () => isSettled(world))
        expect([effect, when, await endings(world)]).toEqual([effect, when, ['DONE']])
        await expectReleased(world, ids)
      }
    }
  }, 60_000)

  it('is rolled back on both when it fails, and both say why', async () => {
    const { world, ids } = await openWorld()
    failsAtSecond = true
    await world.request(platform => start(platform, ids))
    await world.until('end', () => isSettled(world))
    expect(await endings(world)).toEqual(['FAILED'])
    await expectReleased(world, ids)
    expect((await all(world)).map(({ fault }) => fault?.message)).toEqual(ids.map(() => 'the second did not like it'))
  })

  it.each([0, 1])(
    'releases the other one when number %s is deleted at any moment',
    async index => {
      const effects = await countEffects()
      for (let effect = 1; effect <= effects; effect++) {
        const { world, ids } = await openWorld()
        const from = world.effects
        await world.request(platform => start(platform, ids))
        await world.until('effect', async () => world.effects >= from + effect || (await isSettled(world)))
        const gone = ids[index] ?? ''
        await world.request(platform => deleteInstance(platform, gone))
        await world.until('end', async () => (await isSettled(world)) && (await all(world)).length === 1)
        const rest = ids.filter(id => id !== gone)
        await world.until('service', async () => (await all(world)).every(isIdle))
        await expectReleased(world, rest)
        expect((await all(world))[0]?.fault).toBeUndefined()
      }
    },
    60_000,
  )

  it('leaves nothing when both are deleted while it runs', async () => {
    const { world, ids } = await openWorld()
    await world.request(platform => start(platform, ids))
    for (const id of ids) await world.request(platform => deleteInstance(platform, id))
    await world.until('end', async () => (await isSettled(world)) && (await all(world)).length === 0)
    await expectNothingLeft(world)
  })

  it('gets both instances or none, in whatever order others want them', async () => {
    const orders = fc.array(fc.shuffledSubarray([0, 1, 2], { minLength: 2, maxLength: 2 }), {
      minLength: 2,
      maxLength: 5,
    })
    await fc.assert(
      fc.asyncProperty(orders, async pairs => {
        const { world, ids } = await openWorld(3)
        const requested = pairs.map(pair => pair.map(index => ids[index] ?? ''))
        const results = await Promise.all(
          requested.map(pair =>
            start(world.platform, pair).then(
              () => 'started',
              (error: Fault) => error.status,
            ),
          ),
        )
        expect(results.filter(result => result === 'started')).toHaveLength(1)
        expect(results.filter(result => result === 422)).toHaveLength(pairs.length - 1)
        await world.until('end', () => isSettled(world))
        expect(await endings(world)).toEqual(['DONE'])
        await expectReleased(world, ids)
      }),
      { numRuns: 10 },
    )
  }, 60_000)

  it('can start as soon as the one before has ended', async () => {
    const { world, ids } = await openWorld()
    for (const order of [ids, ids.toReversed(), ids]) {
      await world.request(platform => start(platform, order))
      await world.until('end', () => isSettled(world))
    }
    expect(await endings(world)).toEqual(['DONE', 'DONE', 'DONE'])
    await expectReleased(world, ids)
  })
})
