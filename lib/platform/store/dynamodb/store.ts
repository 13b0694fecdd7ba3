import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Clock, Random } from '../../../kit/clock.ts'
import { BadTransaction, type Change, MAX_CHANGES, type Store } from '../../../ports/store.ts'
import { type AwsConnection, clientOptions } from '../../aws/connection.ts'
import { toJson } from '../changes.ts'
import { DynamodbTable, itemName } from './calls.ts'
import { DynamodbListing } from './listing.ts'
import { isLive, toItem } from './record.ts'
import { dueSpans, kindSpans, parentSpan, recordKey, recordName, recordSpan, subjectSpan } from './table.ts'
import { readAndPlan, transact } from './transaction.ts'

interface DynamodbOptions {
  clock: Clock
  random: Random
  connection: AwsConnection
  /** The name of a table as described in `table.ts`. */
  table: string
}

/**
 * A Store in one DynamoDB table (docs/decisions/011-dynamodb.md). Ids are ordered by their UTF-8 bytes, which for ASCII
 * is by code units. DynamoDB allows at most 4 MB in one transaction.
 */
export function dynamodbStore({ clock, random, connection, table: tableName }: DynamodbOptions): Store {
  const client = new DynamoDBClient(clientOptions(connection))
  const table = new DynamodbTable(client, tableName, clock)
  const listing = new DynamodbListing(table, clock)
  const transaction = { table, tableName, clock, random }
  return {
    async get(key) {
      const itemKey = recordKey(key)
      const record = (await table.read([itemKey])).get(itemName(itemKey))
      return isLive(record, clock.now()) ? toItem(record) : undefined
    },
    list: (project, kind, { after, limit }) => listing.records(recordSpan(project, kind, after), limit),
    async all(kind, { after, limit }) {
      const items = await listing.mergeShards(kindSpans(kind, after), limit + 1, item => [0, recordName(item.key)])
      if (items.length <= limit) return { items }
      items.pop()
      return { items, next: recordName(items[limit - 1]!.key) }
    },
    due: (before, limit) => listing.mergeShards(dueSpans(before), limit, item => [item.due ?? 0, recordName(item.key)]),
    ofSubject: (subject, kind, { after, limit }) => listing.entries(subjectSpan(subject, kind, after), limit),
    ofParent: (parent, kind, { after, limit }) => listing.entries(parentSpan(parent, kind, after), limit),
    async transact(changes) {
      checkTransaction(changes)
      if (changes.length > 0) await transact(changes, transaction)
    },
    async check(changes) {
      checkTransaction(changes)
      if (changes.length > 0) await readAndPlan(changes, transaction)
    },
    close: async () => client.destroy(),
  }
}

/** Throws BadTransaction. */
function checkTransaction(changes: Change[]): void {
  if (changes.length > MAX_CHANGES) throw new BadTransaction(`${changes.length} changes are more than ${MAX_CHANGES}`)
  const keys = new Set(changes.map(({ key }) => recordName(key)))
  if (keys.size < changes.length) throw new BadTransaction('two changes of one key')
  for (const change of changes) if (change.op === 'put') toJson(change.body)
}
