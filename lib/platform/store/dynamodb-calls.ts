import {
  type AttributeValue,
  BatchGetItemCommand,
  BatchWriteItemCommand,
  DeleteItemCommand,
  type DynamoDBClient,
  PutItemCommand,
  QueryCommand,
  type TransactWriteItem,
  TransactWriteItemsCommand,
  UpdateItemCommand,
  type WriteRequest,
} from '@aws-sdk/client-dynamodb'
import type { Clock } from '../../kit/clock.ts'
import { nameOf } from '../aws.ts'
import { type Attributes, placed } from './dynamodb-record.ts'
import type { Place, Span } from './dynamodb-table.ts'

/** A change's condition did not hold, or another transaction was at the same records: read again. */
export class Overtaken extends Error {
  override name = 'Overtaken'
}

const READS_AT_ONCE = 100
const WRITES_AT_ONCE = 25
const PAUSE_MS = 20
const TRIES = 8

export type Calls = ReturnType<typeof calls>

/** DynamoDB's calls as the store needs them: reads strongly consistent, and all of a batch or an error. */
export function calls(client: DynamoDBClient, table: string, clock: Clock) {
  /** Until nothing is left, which a throttled table hands back; rejects after some tries. */
  async function whole<T>(parts: T[], call: (part: T) => Promise<T | undefined>): Promise<void> {
    const one = async (part: T) => {
      let left: T | undefined = part
      for (let attempt = 0; left !== undefined; attempt++) {
        if (attempt === TRIES) throw new Error('the table is too busy')
        if (attempt > 0) await clock.sleep(PAUSE_MS * 2 ** attempt)
        left = await call(left)
      }
    }
    await Promise.all(parts.map(one))
  }

  /** The items that there are, by `pk` and `sk` (see `placeName`). */
  async function read(places: Place[], projection?: string): Promise<Map<string, Attributes>> {
    const found = new Map<string, Attributes>()
    const keys = chunks(places.map(placed), READS_AT_ONCE)
    await whole(keys, async Keys => {
      const request = { Keys, ConsistentRead: true, ...(projection && { ProjectionExpression: projection }) }
      const { Responses, UnprocessedKeys } = await client.send(
        new BatchGetItemCommand({ RequestItems: { [table]: request } }),
      )
      for (const item of Responses?.[table] ?? [])
        found.set(placeName({ pk: item['pk']!.S!, sk: item['sk']!.S! }), item)
      return UnprocessedKeys?.[table]?.Keys
    })
    return found
  }

  /** Writes or removes items that nobody else writes. */
  async function write(requests: WriteRequest[]): Promise<void> {
    await whole(chunks(requests, WRITES_AT_ONCE), async part => {
      const { UnprocessedItems } = await client.send(new BatchWriteItemCommand({ RequestItems: { [table]: part } }))
      return UnprocessedItems?.[table]
    })
  }

  /** Throws Overtaken. One change alone needs no transaction, which would cost twice as much. */
  async function commit(changes: TransactWriteItem[]): Promise<void> {
    const [{ Put, Update, Delete } = {}] = changes
    try {
      if (changes.length === 1 && Put) await client.send(new PutItemCommand(Put))
      else if (changes.length === 1 && Update) await client.send(new UpdateItemCommand(Update))
      else if (changes.length === 1 && Delete) await client.send(new DeleteItemCommand(Delete))
      else await client.send(new TransactWriteItemsCommand({ TransactItems: changes }))
    } catch (error) {
      if (isOvertaken(error)) throw new Overtaken('overtaken', { cause: error })
      throw error
    }
  }

  /** Items of a span in the order of sort keys, page by page. */
  async function* pages(span: Span, limit: number): AsyncGenerator<Attributes[]> {
    if (span.from > span.to) return
    let start: Record<string, AttributeValue> | undefined
    do {
      const { Items, LastEvaluatedKey } = await client.send(
        new QueryCommand({
          TableName: table,
          ConsistentRead: true,
          Limit: Math.min(limit, READS_AT_ONCE),
          KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
          ExpressionAttributeValues: { ':pk': { S: span.pk }, ':from': { S: span.from }, ':to': { S: span.to } },
          ...(start && { ExclusiveStartKey: start }),
        }),
      )
      yield Items ?? []
      start = LastEvaluatedKey
    } while (start)
  }

  return { read, write, commit, pages }
}

export const placeName = ({ pk, sk }: Place): string => `${pk} ${sk}`

function isOvertaken(error: unknown): boolean {
  const name = nameOf(error)
  if (name === 'ConditionalCheckFailedException' || name.startsWith('TransactionConflict')) return true
  if (name === 'TransactionInProgressException') return true
  if (!(error instanceof Error && 'CancellationReasons' in error && Array.isArray(error.CancellationReasons)))
    return false
  const codes: unknown[] = error.CancellationReasons.map(reason => reason?.Code)
  return codes.some(code => code === 'ConditionalCheckFailed' || code === 'TransactionConflict')
}

function chunks<T>(all: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, part) => all.slice(part * size, (part + 1) * size))
}
