import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Clock, Random } from '../../kit/clock.ts'
import { type AwsConnection, clientOptions } from '../aws.ts'
import { calls, Overtaken, placeName } from './dynamodb-calls.ts'
import { type Plan, planned } from './dynamodb-plan.ts'
import { type Attributes, entriesIn, isLive, number, placed, text, toItem, toJson } from './dynamodb-record.ts'
import {
  dueSpans,
  instanceSpan,
  kindSpans,
  nameOf,
  type Place,
  recordPlace,
  recordSpan,
  type Span,
} from './dynamodb-table.ts'
import { BadTransaction, type Change, type Item, MAX_CHANGES, type Store } from './store.ts'

export interface DynamodbOptions {
  clock: Clock
  random: Random
  connection: AwsConnection
  /** A table as `dynamodb-table.ts` has it. */
  table: string
}

const TRIES = 50
const FIRST_PAUSE_MS = 5
const LONGEST_PAUSE_MS = 200
/** A transaction begins so soon after its index entries were written, or writes them again. */
const FRESH_MS = 60_000
/** Entries without a record are for nothing when no transaction can be under way any more that wrote them. */
const STALE_MS = 600_000

/**
 * A Store in one DynamoDB table (docs/decisions/011-dynamodb.md). Ids are ordered by their UTF-8 bytes, which for ASCII is by
 * code units. DynamoDB takes at most 4 MB in one transaction.
 */
export function dynamodbStore({ clock, random, connection, table }: DynamodbOptions): Store {
  const client = new DynamoDBClient(clientOptions(connection))
  const { read, write, commit, pages } = calls(client, table, clock)

  const removed = (places: Place[]) => write(places.map(place => ({ DeleteRequest: { Key: placed(place) } })))

  /** What the changes come to as things stand. Throws Conflict or BadTransaction. */
  async function decided(changes: Change[]): Promise<Plan> {
    const places = changes.map(({ key }) => recordPlace(key))
    // Bodies are of interest only to what adds to them.
    const body = changes.some(({ op }) => op === 'add') ? ', b, z, n' : ''
    const found = await read(places, `pk, sk, v, ix, x${body}`)
    const token = Buffer.from(random.bytes(9)).toString('base64url')
    const records = places.map(place => found.get(placeName(place)))
    return planned(changes, records, { table, now: clock.now(), token })
  }

  /** One try: entries first, then the transaction, then what has become of no use. Throws Overtaken. */
  async function carryOut({ writes, before, after }: Plan): Promise<void> {
    const at = clock.now()
    const entries = before.map(({ entry, change: { key } }) => ({
      ...placed(entry),
      p: text(key.project),
      i: text(key.id),
      at: number(at),
      ...(entry.ttl !== undefined && { ttl: number(entry.ttl) }),
    }))
    await write(entries.map(Item => ({ PutRequest: { Item } })))
    try {
      if (clock.now() - at > FRESH_MS) throw new Overtaken('the entries took too long')
      await commit(writes)
    } catch (error) {
      // After any other error the transaction may have been carried out.
      if (error instanceof Overtaken) await removed(before.map(({ entry }) => entry))
      throw error
    }
    // What is left there leads nowhere, and whoever reads it removes it.
    await removed(after).catch(() => undefined)
  }

  async function transact(changes: Change[]): Promise<void> {
    check(changes)
    if (changes.length === 0) return
    for (let attempt = 1; ; attempt++) {
      const plan = await decided(changes)
      try {
        // One check alone was made by reading.
        if (plan.writes.length > 1 || plan.writes.some(write => !write.ConditionCheck)) await carryOut(plan)
        return
      } catch (error) {
        if (!(error instanceof Overtaken) || attempt === TRIES) throw error
      }
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS)
      await clock.sleep((pause * (random.bytes(1)[0]! + 1)) / 256)
    }
  }

  /** Up to `limit` live records that a page of entries leads to; entries that lead nowhere are removed once they are old. */
  async function led(entries: Attributes[]): Promise<Item[]> {
    const aims = entries.map(({ p, i }) => recordPlace({ project: p!.S!, id: i!.S! }))
    const records = await read([...new Map(aims.map(aim => [placeName(aim), aim])).values()])
    const [items, stale]: [Item[], Place[]] = [[], []]
    const now = clock.now()
    for (const [index, entry] of entries.entries()) {
      const place = { pk: entry['pk']!.S!, sk: entry['sk']!.S! }
      const record = records.get(placeName(aims[index]!))
      const listed = record && entriesIn(record).some(({ pk, sk }) => pk === place.pk && sk === place.sk)
      if (listed && isLive(record, now)) items.push(toItem(record))
      if (!listed && Number(entry['at']!.N) < now - STALE_MS) stale.push(place)
    }
    if (stale.length > 0) await removed(stale).catch(() => undefined)
    return items
  }

  /** Up to `limit` records of a span, in the order of its sort keys. */
  async function found(span: Span, limit: number, items: (page: Attributes[]) => Promise<Item[]>): Promise<Item[]> {
    const all: Item[] = []
    for await (const page of pages(span, limit)) {
      all.push(...(await items(page)))
      if (all.length >= limit) break
    }
    return all.slice(0, limit)
  }

  /** The first of all shards' records. */
  async function merged(spans: Span[], limit: number, order: (item: Item) => [number, string]): Promise<Item[]> {
    const parts = await Promise.all(spans.map(span => found(span, limit, led)))
    return parts
      .flat()
      .map(item => ({ item, order: order(item) }))
      .sort(({ order: [a, b] }, { order: [c, d] }) => a - c || (b < d ? -1 : 1))
      .slice(0, limit)
      .map(({ item }) => item)
  }

  return {
    async get(key) {
      const place = recordPlace(key)
      const record = (await read([place])).get(placeName(place))
      return isLive(record, clock.now()) ? toItem(record) : undefined
    },
    list: (project, kind, { after, limit }) =>
      found(recordSpan(project, kind, after), limit, async page =>
        page.filter(record => isLive(record, clock.now())).map(toItem),
      ),
    async all(kind, { after, limit }) {
      const items = await merged(kindSpans(kind, after), limit + 1, item => [0, nameOf(item.key)])
      if (items.length <= limit) return { items }
      items.pop()
      return { items, next: nameOf(items[limit - 1]!.key) }
    },
    due: (before, limit) => merged(dueSpans(before), limit, item => [item.due ?? 0, nameOf(item.key)]),
    ofInstance: (instance, kind, { after, limit }) => found(instanceSpan(instance, kind, after), limit, led),
    transact,
    async check(changes) {
      check(changes)
      if (changes.length > 0) await decided(changes)
    },
    close: async () => client.destroy(),
  }
}

/** Throws BadTransaction. */
function check(changes: Change[]): void {
  if (changes.length > MAX_CHANGES) throw new BadTransaction(`${changes.length} changes are more than ${MAX_CHANGES}`)
  const keys = new Set(changes.map(({ key }) => nameOf(key)))
  if (keys.size < changes.length) throw new BadTransaction('two changes of one key')
  for (const change of changes) if (change.op === 'put') toJson(change.body)
}
