import { backOffMs } from '../../../kit/async/back-off.ts'
import type { Clock, Random } from '../../../kit/clock.ts'
import type { Change } from '../../../ports/store.ts'
import { type DynamodbTable, itemName, TransactionConflict } from './calls.ts'
import { type Plan, planTransaction } from './plan.ts'
import { keyAttributes, number, text } from './record.ts'
import { type ItemKey, recordKey } from './table.ts'

interface TransactionOptions {
  table: DynamodbTable
  tableName: string
  clock: Clock
  random: Random
}

const MAX_TRIES = 50
const BACK_OFF = { firstMs: 10, maxMs: 200 }
/** A transaction with older index entries is not committed; it is retried with new ones. */
const MAX_ENTRY_AGE_MS = 60_000

/** Carries out all changes or none. Throws Conflict or BadTransaction. */
export async function transact(changes: Change[], options: TransactionOptions): Promise<void> {
  const { clock, random } = options
  for (let attempt = 1; ; attempt++) {
    const plan = await readAndPlan(changes, options)
    // Reading was enough for a single check.
    if (plan.writes.length <= 1 && plan.writes.every(write => write.ConditionCheck)) return
    try {
      await carryOut(plan, options)
      return
    } catch (error) {
      if (!(error instanceof TransactionConflict) || attempt === MAX_TRIES) throw error
    }
    const pause = backOffMs(attempt, BACK_OFF)
    await clock.sleep((pause * (random.bytes(1)[0]! + 1)) / 256)
  }
}

/** What the changes would write now. Throws Conflict or BadTransaction. */
export async function readAndPlan(changes: Change[], options: TransactionOptions): Promise<Plan> {
  const { table, tableName, clock, random } = options
  const keys = changes.map(({ key }) => recordKey(key))
  // Only `add` needs to read the bodies.
  const body = changes.some(({ op }) => op === 'add') ? ', b, z, n' : ''
  const items = await table.read(keys, `pk, sk, v, ix, x${body}`)
  const token = Buffer.from(random.bytes(9)).toString('base64url')
  const records = keys.map(key => items.get(itemName(key)))
  return planTransaction(changes, records, { table: tableName, now: clock.now(), token })
}

/** One try: adds the new index entries, then commits, then removes the old entries. Throws TransactionConflict. */
async function carryOut({ writes, before, after }: Plan, { table, clock }: TransactionOptions): Promise<void> {
  const writtenAt = clock.now()
  const entries = before.map(({ entry, change: { key } }) => ({
    ...keyAttributes(entry),
    p: text(key.project),
    i: text(key.id),
    at: number(writtenAt),
    ...(entry.ttl !== undefined && { ttl: number(entry.ttl) }),
  }))
  await table.write(entries.map(Item => ({ PutRequest: { Item } })))
  try {
    if (clock.now() - writtenAt > MAX_ENTRY_AGE_MS) throw new TransactionConflict('the index entries took too long')
    await table.commit(writes)
  } catch (error) {
    // After any other error the transaction may have been committed.
    if (error instanceof TransactionConflict) {
      await removeItems(
        table,
        before.map(({ entry }) => entry),
      )
    }
    throw error
  }
  // Entries that stay behind are ignored and removed by readers.
  await removeItems(table, after).catch(() => undefined)
}

export const removeItems = (table: DynamodbTable, keys: ItemKey[]): Promise<void> =>
  table.write(keys.map(key => ({ DeleteRequest: { Key: keyAttributes(key) } })))
