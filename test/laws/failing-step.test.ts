import { describe, expect, it } from '@jest/globals'
import { sagas } from '../../lib/instances/index.ts'
import { TerminalError } from '../../lib/kit/errors.ts'
import { SagaRunner } from '../../lib/kit/saga/runner.ts'
import type { Saga } from '../../lib/kit/saga/saga.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import type { World } from '../sim/world.ts'
import {
  expectSettled,
  isSettled,
  OPERATIONS,
  type OperationName,
  preparedWorld,
  sagaOf,
  scenarioOf,
} from './operations.ts'

interface Failure {
  index: number
  /** Whether the step throws before it has done its work, or after. */
  when: 'before' | 'after'
  error: () => Error
  /** How many times it throws before it works; left out: it never works. */
  times?: number
}

/** Runs the operations of this world with one step of one of them failing. */
function failStep(world: World, name: OperationName, failure: Failure): void {
  const { index, when, error, times = Number.POSITIVE_INFINITY } = failure
  let left = times
  const saga = sagaOf(name)
  const steps = saga.steps.map((step, position) => {
    if (position !== index) return step
    return {
      ...step,
      async do(run: Parameters<NonNullable<typeof step.do>>[0]) {
        if (when === 'after') await step.do?.(run)
        if (left-- > 0) throw error()
        if (when === 'before') await step.do?.(run)
      },
    }
  })
  const tampered: Record<string, Saga<unknown, Platform>> = { ...sagas, [name]: { ...saga, steps } }
  world.runWith(platform => new SagaRunner({ ...platform, context: platform, sagas: tampered, leaseMs: 90_000 }))
}

describe.each(OPERATIONS)('%s', name => {
  const scenario = scenarioOf(name)
  const steps = sagaOf(name).steps.flatMap((step, index) =>
    (['before', 'after'] as const).map(when => ({ step: step.name, index, when })),
  )

  it.each(steps)('ends cleanly if its step $step fails $when it has done its work', async ({ index, when }) => {
    const world = await preparedWorld(name)
    if (sagaOf(name).forwardOnly) failStep(world, name, { index, when, error: () => new Error('for now'), times: 4 })
    else failStep(world, name, { index, when, error: () => new TerminalError('for good') })
    await world.request(platform => scenario.begin(platform))
    await world.until('end', () => isSettled(world))
    expect(await (scenario.failed ?? scenario.done)(world)).toBe(true)
    await expectSettled(world)
  })

  it.each(steps)(
    'is rolled back if its step $step always fails $when it has done its work',
    async ({ index, when }) => {
      if (!scenario.failed) return expect(sagaOf(name).forwardOnly).toBe(true)
      const world = await preparedWorld(name)
      failStep(world, name, { index, when, error: () => new Error('again and again') })
      await world.request(platform => scenario.begin(platform))
      await world.until('end', () => isSettled(world))
      expect(await scenario.failed(world)).toBe(true)
      await expectSettled(world)
    },
  )
})
