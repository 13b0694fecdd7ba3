import type { TransactWriteItem } from '@aws-sdk/client-dynamodb'
import {
  type Attributes,
  bodyOf,
  type Entry,
  encoded,
  entriesIn,
  isLive,
  number,
  placed,
  toJson,
  ttlOf,
  versionOf,
} from './dynamodb-record.ts'
import { aimOf, entriesOf, recordPlace } from './dynamodb-table.ts'
import { BadTransaction, type Change, Conflict, type Item } from './store.ts'

/** What a transaction does to the table: index entries that are to be there before it, and that are for nothing after it. */
export interface Plan {
  writes: TransactWriteItem[]
  /** Each with the record that it leads to. */
  before: { entry: Entry; change: Change }[]
  after: Entry[]
}

export interface PlanOptions {
  table: string
  now: number
  /** Of this writing alone. */
  token: string
}

/**
 * Decides on what was read (`found`, in the order of the changes): throws Conflict or BadTransaction, or says what to write on
 * condition that it is still so.
 */
export function planned(changes: Change[], found: (Attributes | undefined)[], options: PlanOptions): Plan {
  const plan: Plan = { writes: [], before: [], after: [] }
  for (const [index, change] of changes.entries()) {
    const live = isLive(found[index], options.now) ? found[index] : undefined
    if (change.op === 'add') checkAdd(change, index, live)
    else if (change.was !== undefined && change.was !== (live ? versionOf(live) : 0))
      throw new Conflict(index, 'version')
    plan.writes.push(...writeOf(change, found[index], live, plan, options))
  }
  return plan
}

function writeOf(
  change: Change,
  found: Attributes | undefined,
  live: Attributes | undefined,
  plan: Plan,
  options: PlanOptions,
): TransactWriteItem[] {
  const { table: TableName, now } = options
  const Key = placed(recordPlace(change.key))
  if (change.op === 'add' && live) return [{ Update: { TableName, Key, ...increase(change, now) } }]
  const still = stillSo(live, now)
  if (change.op === 'check') return [{ ConditionCheck: { TableName, Key, ...still } }]
  const old = found ? entriesIn(found) : []
  if (change.op === 'delete') {
    plan.after.push(...old)
    return found || change.was !== undefined ? [{ Delete: { TableName, Key, ...still } }] : []
  }
  const fields: Pick<Item, 'due' | 'instance' | 'expires'> = change.op === 'put' ? change : {}
  const json = toJson(change.op === 'put' ? change.body : { [change.field]: change.by })
  const entries = renewed(change, fields, old, options.token)
  plan.before.push(...entries.filter(entry => !old.includes(entry)).map(entry => ({ entry, change })))
  plan.after.push(...old.filter(entry => !entries.includes(entry)))
  const version = (live ? versionOf(live) : 0) + 1
  return [{ Put: { TableName, Item: encoded({ ...fields, key: change.key, version, json, entries }), ...still } }]
}

/** The entries that a record is to have: old ones where they serve, else new ones. */
function renewed(
  { key }: Change,
  fields: Pick<Item, 'due' | 'instance' | 'expires'>,
  old: Entry[],
  token: string,
): Entry[] {
  const ttl = fields.expires === undefined ? undefined : ttlOf(fields.expires)
  return entriesOf(key, fields, token).map(place => {
    const same = old.find(entry => entry.ttl === ttl && aimOf(entry) === aimOf(place))
    return same ?? { ...place, ...(ttl !== undefined && { ttl }) }
  })
}

/** The condition that a record is as it was read. */
function stillSo(live: Attributes | undefined, now: number) {
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
    throw new BadTransaction(`${change.key.id} is no object to add to`)
  const before = live?.['n']?.M?.[change.field]
  if (!before && Object.hasOwn(body, change.field))
    throw new BadTransaction(`${change.field} of ${change.key.id} is no number`)
  if (!within(Number(before?.N ?? 0) + change.by, change)) throw new Conflict(index, 'bound')
}

const within = (value: number, { min = -Infinity, max = Infinity }: Add) => value >= min && value <= max

/** An addition to a record that is there, bounded by the record's own number and not by its version. */
function increase(change: Add, now: number) {
  const { by, min, max } = change
  const bounds = [
    ...(min === undefined ? [] : ['#n.#f >= :min']),
    ...(max === undefined ? [] : ['#n.#f <= :max']),
  ].join(' AND ')
  const bounded = within(by, change) ? `(attribute_not_exists(#n.#f) OR ${bounds})` : bounds
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
