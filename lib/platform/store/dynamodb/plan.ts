import type { TransactWriteItem } from '@aws-sdk/client-dynamodb'
import { BadTransaction, type Change, Conflict } from '../../../ports/store.ts'
import { toJson } from '../changes.ts'
import {
  type Attributes,
  bodyOf,
  type Entry,
  encodeRecord,
  entriesIn,
  type IndexedFields,
  isLive,
  keyAttributes,
  number,
  ttlOf,
  versionOf,
} from './record.ts'
import { entriesOf, recordKey, targetOf } from './table.ts'

/**
 * What a transaction does to the table: the entries to add before it, its writes, and the entries to remove after it.
 */
export interface Plan {
  writes: TransactWriteItem[]
  /** Index entries to add first, each with the change that needs it. */
  before: { entry: Entry; change: Change }[]
  /** Index entries that are no longer needed afterwards. */
  after: Entry[]
}

interface PlanOptions {
  table: string
  now: number
  /** Unique to this write. */
  token: string
}

/**
 * Plans the writes from the records as read, in the order of the changes. The writes are on condition that the records
 * are still the same. Throws Conflict or BadTransaction.
 */
export function planTransaction(changes: Change[], records: (Attributes | undefined)[], options: PlanOptions): Plan {
  const plan: Plan = { writes: [], before: [], after: [] }
  for (const [index, change] of changes.entries()) {
    const live = isLive(records[index], options.now) ? records[index] : undefined
    if (change.op === 'add') checkAdd(change, index, live)
    else if (change.was !== undefined && change.was !== (live ? versionOf(live) : 0))
      throw new Conflict(index, 'version')
    plan.writes.push(...writeOf(change, records[index], live, plan, options))
  }
  return plan
}

function writeOf(
  change: Change,
  record: Attributes | undefined,
  live: Attributes | undefined,
  plan: Plan,
  options: PlanOptions,
): TransactWriteItem[] {
  const { table: TableName, now } = options
  const Key = keyAttributes(recordKey(change.key))
  if (change.op === 'add' && live) return [{ Update: { TableName, Key, ...increase(change, now) } }]
  const unchanged = unchangedCondition(live, now)
  if (change.op === 'check') return [{ ConditionCheck: { TableName, Key, ...unchanged } }]
  const old = record ? entriesIn(record) : []
  if (change.op === 'delete') {
    plan.after.push(...old)
    return record || change.was !== undefined ? [{ Delete: { TableName, Key, ...unchanged } }] : []
  }
  const fields: IndexedFields = change.op === 'put' ? change : {}
  const json = toJson(change.op === 'put' ? change.body : { [change.field]: change.by })
  const entries = neededEntries(change, fields, old, options.token)
  plan.before.push(...entries.filter(entry => !old.includes(entry)).map(entry => ({ entry, change })))
  plan.after.push(...old.filter(entry => !entries.includes(entry)))
  const version = (live ? versionOf(live) : 0) + 1
  return [
    { Put: { TableName, Item: encodeRecord({ ...fields, key: change.key, version, json, entries }), ...unchanged } },
  ]
}

/** The entries that the record needs: existing ones where they fit, else new ones. */
function neededEntries({ key }: Change, fields: IndexedFields, old: Entry[], token: string): Entry[] {
  const ttl = fields.expires === undefined ? undefined : ttlOf(fields.expires)
  return entriesOf(key, fields, token).map(itemKey => {
    const same = old.find(entry => entry.ttl === ttl && targetOf(entry) === targetOf(itemKey))
    return same ?? { ...itemKey, ...(ttl !== undefined && { ttl }) }
  })
}

/** The condition that the record is still as it was read. */
function unchangedCondition(live: Attributes | undefined, now: number) {
  if (live)
    return {
      ConditionExpression: 'v = :v AND (attribute_not_exists(x) OR x > :now)',
      ExpressionAttributeValues: { ':v': number(versionOf(live)), ':now': number(now) },
    }
  return {
    ConditionExpression: 'attribute_not_exists(pk) OR x <= :now',
    ExpressionAttributeValues: { ':now': number(now) },
  }
}

type Add = Change & { op: 'add' }

function checkAdd(change: Add, index: number, live: Attributes | undefined): void {
  const body = live ? bodyOf(live) : {}
  if (typeof body !== 'object' || body === null || (live && !live['n']))
    throw new BadTransaction(`${change.key.id} is not an object: nothing can be added to it`)
  const current = live?.['n']?.M?.[change.field]
  if (!current && Object.hasOwn(body, change.field))
    throw new BadTransaction(`${change.field} of ${change.key.id} is not a number`)
  if (!isWithin(Number(current?.N ?? 0) + change.by, change)) throw new Conflict(index, 'bound')
}

const isWithin = (value: number, { min = -Infinity, max = Infinity }: Add) => value >= min && value <= max

/** An addition to an existing record, on condition of the number's bounds and not of the record's version. */
function increase(change: Add, now: number) {
  const { by, min, max } = change
  const bounds = [
    ...(min === undefined ? [] : ['#n.#f >= :min']),
    ...(max === undefined ? [] : ['#n.#f <= :max']),
  ].join(' AND ')
  const bounded = isWithin(by, change) ? `(attribute_not_exists(#n.#f) OR ${bounds})` : bounds
  const exists = 'attribute_exists(#n) AND (attribute_not_exists(x) OR x > :now)'
  return {
    UpdateExpression: 'SET v = v + :one, #n.#f = if_not_exists(#n.#f, :zero) + :by',
    ConditionExpression: bounds ? `${exists} AND ${bounded}` : exists,
    ExpressionAttributeNames: { '#n': 'n', '#f': change.field },
    ExpressionAttributeValues: {
      ':one': number(1),
      ':zero': number(0),
      ':by': number(by),
      ':now': number(now),
      ...(min !== undefined && { ':min': number(min - by) }),
      ...(max !== undefined && { ':max': number(max - by) }),
    },
  }
}
