import { redeliverDue } from '../agents/redeliver.ts'
import { messageOf } from '../kit/errors.ts'
import type { Stored } from '../kit/records.ts'
import { type SagaRecord, sagas } from '../kit/saga/saga.ts'
import { hosts } from '../model/host.ts'
import { operationRef } from '../model/operation.ts'
import type { Platform } from '../platform/platform.ts'
import { Conflict, type Item } from '../ports/store.ts'
import { processHost } from './hosts.ts'
import { wakeOperation } from './runner.ts'

/** How many due records are read at once, and how often in one run: the rest is due at the next. */
const BATCH = 200
const MAX_BATCHES = 20
/** A message that nobody has acted on is sent again after so long. */
const WAKE_AGAIN_MS = 2_000

/** What is done with a due record, by its type. */
const BY_TYPE: Record<string, (platform: Platform, item: Item) => Promise<void>> = {
  async saga(platform, item) {
    const saga = sagas.read(item)
    if (!(await postpone(platform, saga))) return
    await wakeOperation(platform, operationRef(saga.body, saga.body.requestId))
  },
  host: (platform, item) => processHost(platform, hosts.read(item)),
  guest: (platform, { key }) => redeliverDue(platform, key.project, key.id.slice('guest#'.length)),
}

/**
 * Moves the operation's due time into the future. Else it stays due until a runner takes it, and each run of `periodic`
 * would wake it again before all that became due later. False if a runner has changed it meanwhile.
 */
async function postpone({ store, clock }: Platform, item: Stored<SagaRecord>): Promise<boolean> {
  try {
    await store.transact([sagas.replace(item, item.body, { due: clock.now() + WAKE_AGAIN_MS })])
    return true
  } catch (error) {
    if (error instanceof Conflict) return false
    throw error
  }
}

/** Acts on all that is due. Its cost follows what is due, not what exists. */
export async function processAllDue(platform: Platform): Promise<void> {
  for (let batch = 0; batch < MAX_BATCHES; batch++) {
    const items = await platform.store.due(platform.clock.now(), BATCH)
    await processDue(platform, items)
    if (items.length < BATCH) return
  }
}

/** Wakes everything that waits, due or not: after a restart, messages and leases of the process before are void. */
export async function wakeAll(platform: Platform): Promise<void> {
  await processDue(platform, await platform.store.due(Number.MAX_SAFE_INTEGER, 100_000))
}

/** Acts on each due record. One that fails is tried again in a later run. */
export async function processDue(platform: Platform, items: Item[]): Promise<void> {
  for (const item of items) {
    const type = item.key.id.split('#', 1)[0] ?? ''
    try {
      await BY_TYPE[type]?.(platform, item)
    } catch (error) {
      platform.log.warn({ record: item.key.id, error: messageOf(error) }, 'due record failed')
    }
  }
}
