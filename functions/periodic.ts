import middy from '@middy/core'
import type { ScheduledEvent } from 'aws-lambda'
import type { TaskmanagerMethods } from '../lib/contracts/taskmanager.ts'
import { resendDue } from '../lib/guests/due.ts'
import { observed } from '../lib/guests/reports.ts'
import { reason } from '../lib/kit/errors.ts'
import type { Stored } from '../lib/kit/records.ts'
import { type SagaRecord, sagas } from '../lib/kit/saga/saga.ts'
import { ringOperation } from '../lib/operations/operation.ts'
import type { Platform } from '../lib/platform/platform.ts'
import { Conflict, type Item } from '../lib/platform/store/store.ts'
import { wired } from '../lib/wiring/current.ts'

/** How many due records are read at once, and how often in a tick: the rest is due at the next. */
const AT_ONCE = 200
const MOST_READS = 20
/** A doorbell that nobody heard is rung again after so long. */
const AGAIN_MS = 2_000

/** What is done with a due record, by its kind. */
const byKind: Record<string, (platform: Platform, item: Item) => Promise<void>> = {
  saga: async (platform, item) => {
    const saga = item as Stored<SagaRecord>
    const { id, name, project, instance, requestId } = saga.body
    if (!(await claimed(platform, saga))) return
    await ringOperation(platform, { id, name: name as keyof TaskmanagerMethods, project, instance, requestId })
  },
  guest: (platform, { key }) => resendDue(platform, key.project, key.id.slice('guest#'.length)),
}

/**
 * Puts off when the saga is looked at again: what is due stays due until a runner takes it, and would be rung anew by each tick,
 * before all that is due later. False = a runner is at it.
 */
async function claimed({ store, clock }: Platform, item: Stored<SagaRecord>): Promise<boolean> {
  try {
    await store.transact([sagas.replace(item, item.body, { due: clock.now() + AGAIN_MS })])
    return true
  } catch (error) {
    if (error instanceof Conflict) return false
    throw error
  }
}

/** A schedule's event: rings what is due. Its cost follows what is due, not what exists. */
export const handler = middy<ScheduledEvent, void>().handler(async () => {
  const platform = wired()
  for (let reads = 0; reads < MOST_READS; reads++) {
    const items = await platform.store.due(platform.clock.now(), AT_ONCE)
    await look(platform, items)
    if (items.length < AT_ONCE) break
  }
  await survey(platform)
})

/** What became of machines that no host tells of. */
export async function survey(platform: Platform): Promise<void> {
  try {
    for (const told of (await platform.compute.survey?.()) ?? []) await observed(platform, told)
  } catch (error) {
    platform.log.warn({ error: reason(error) }, 'machines not looked at')
  }
}

/** Rings everything that waits, due or not: after a restart, doorbells and leases of the process before are void. */
export async function ringAll(platform: Platform): Promise<void> {
  await look(platform, await platform.store.due(Number.MAX_SAFE_INTEGER, 100_000))
}

/** Does what is due for each of the records; one that fails is looked at again later. */
export async function look(platform: Platform, items: Item[]): Promise<void> {
  for (const item of items) {
    const kind = item.key.id.split('#', 1)[0] ?? ''
    try {
      await byKind[kind]?.(platform, item)
    } catch (error) {
      platform.log.warn({ record: item.key.id, error: reason(error) }, 'due record failed')
    }
  }
}
