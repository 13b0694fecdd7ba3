import { expect, it } from '@jest/globals'
import { agentCommands } from '../../lib/agents/agent.ts'
import {
  countEffects,
  expectSettled,
  isSettled,
  OPERATIONS,
  preparedWorld,
  scenarioOf,
  startUntilEffect,
} from './operations.ts'
import { operationId, operationRecord, steer } from './steering.ts'

it.each(OPERATIONS)(
  '%s ends cleanly if it is cancelled at any effect',
  async name => {
    const scenario = scenarioOf(name)
    const effects = await countEffects(name)
    let cancelled = 0
    for (let effect = 0; effect <= effects; effect++) {
      const world = await preparedWorld(name)
      await startUntilEffect(world, name, effect)
      const id = await operationId(world, name)
      const [status] = (await world.request(platform => steer(platform, 'cancel', id))) ?? []
      // Virtual time: the undo starts immediately, whatever the operation waited for.
      await world.until(`end, cancelled at effect ${effect}`, () => isSettled(world), 60_000)
      const { status: outcome } = await operationRecord(world, id)
      if (scenario.failed && status === 202) {
        cancelled += 1
        const isClean = await (scenario.cancelled ?? scenario.failed)(world)
        expect([effect, outcome, isClean]).toEqual([effect, 'CANCELLED', true])
      } else {
        // 404: it has ended together with its instance.
        expect([404, 409]).toContain(status)
        expect([effect, outcome, await scenario.done(world)]).toEqual([effect, 'DONE', true])
      }
      await expectSettled(world)
      const commands = (await agentCommands.all(world.store, { limit: 100 })).items
      expect(commands.filter(({ body }) => body.status === 'issued')).toEqual([])
    }
    // What can be undone can be cancelled until shortly before its end; what only runs forward never.
    expect(cancelled > effects / 2).toBe(scenario.failed !== undefined)
  },
  120_000,
)
