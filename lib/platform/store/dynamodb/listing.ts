import type { Clock } from '../../../kit/clock.ts'
import type { Item } from '../../../ports/store.ts'
import { type DynamodbTable, itemName } from './calls.ts'
import { type Attributes, entriesIn, isLive, toItem } from './record.ts'
import { type ItemKey, recordKey, type Span } from './table.ts'
import { removeItems } from './transaction.ts'

/** Entries without a record are removed at this age: no transaction that wrote them can still be under way. */
const STALE_MS = 600_000

/** Reads records by the spans of their partition or of their index entries. */
export class DynamodbListing {
  readonly #table: DynamodbTable
  readonly #clock: Clock

  constructor(table: DynamodbTable, clock: Clock) {
    this.#table = table
    this.#clock = clock
  }

  /** Up to `limit` live records of a span of records, in the order of sort keys. */
  records(span: Span, limit: number): Promise<Item[]> {
    return this.#collect(span, limit, async page =>
      page.filter(record => isLive(record, this.#clock.now())).map(record => toItem(record)),
    )
  }

  /** Up to `limit` live records of a span of index entries, in the order of sort keys. */
  entries(span: Span, limit: number): Promise<Item[]> {
    return this.#collect(span, limit, page => this.#resolveEntries(page))
  }

  /** The first records of all shards together, by `order`. */
  async mergeShards(spans: Span[], limit: number, order: (item: Item) => [number, string]): Promise<Item[]> {
    const shards = await Promise.all(spans.map(span => this.entries(span, limit)))
    return shards
      .flat()
      .map(item => ({ item, order: order(item) }))
      .sort(({ order: [a, b] }, { order: [c, d] }) => a - c || (b < d ? -1 : 1))
      .slice(0, limit)
      .map(({ item }) => item)
  }

  async #collect(span: Span, limit: number, toItems: (page: Attributes[]) => Promise<Item[]>): Promise<Item[]> {
    const items: Item[] = []
    for await (const page of this.#table.pages(span, limit)) {
      items.push(...(await toItems(page)))
      if (items.length >= limit) break
    }
    return items.slice(0, limit)
  }

  /** The live records that a page of entries points to. Removes old entries whose record does not list them. */
  async #resolveEntries(entries: Attributes[]): Promise<Item[]> {
    const keys = entries.map(({ p, i }) => recordKey({ project: p!.S!, id: i!.S! }))
    const records = await this.#table.read([...new Map(keys.map(key => [itemName(key), key])).values()])
    const [items, stale]: [Item[], ItemKey[]] = [[], []]
    const now = this.#clock.now()
    for (const [index, entry] of entries.entries()) {
      const entryKey = { pk: entry['pk']!.S!, sk: entry['sk']!.S! }
      const record = records.get(itemName(keys[index]!))
      const isListed = record && entriesIn(record).some(({ pk, sk }) => pk === entryKey.pk && sk === entryKey.sk)
      if (isListed && isLive(record, now)) items.push(toItem(record))
      if (!isListed && Number(entry['at']!.N) < now - STALE_MS) stale.push(entryKey)
    }
    if (stale.length > 0) await removeItems(this.#table, stale).catch(() => undefined)
    return items
  }
}
