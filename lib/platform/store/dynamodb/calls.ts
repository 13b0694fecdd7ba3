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
import { backOffMs } from '../../../kit/async/back-off.ts'
import type { Clock } from '../../../kit/clock.ts'
import { errorName } from '../../aws/connection.ts'
import { type Attributes, keyAttributes } from './record.ts'
import type { ItemKey, Span } from './table.ts'

/** A change's condition did not hold, or another transaction used the same records: read again and retry. */
export class TransactionConflict extends Error {
  override name = 'TransactionConflict'
}

const READ_BATCH = 100
const WRITE_BATCH = 25
const BACK_OFF = { firstMs: 40, maxMs: 2_560 }
const MAX_TRIES = 8

/** One table's calls: reads are strongly consistent, and a batch succeeds as a whole or throws. */
export class DynamodbTable {
  readonly #client: DynamoDBClient
  readonly #name: string
  readonly #clock: Clock

  constructor(client: DynamoDBClient, name: string, clock: Clock) {
    this.#client = client
    this.#name = name
    this.#clock = clock
  }

  /** The items that exist, by `itemName`. */
  async read(keys: ItemKey[], projection?: string): Promise<Map<string, Attributes>> {
    const items = new Map<string, Attributes>()
    await this.#untilDone(chunks(keys.map(keyAttributes), READ_BATCH), async Keys => {
      const request = { Keys, ConsistentRead: true, ...(projection && { ProjectionExpression: projection }) }
      const { Responses, UnprocessedKeys } = await this.#client.send(
        new BatchGetItemCommand({ RequestItems: { [this.#name]: request } }),
      )
      for (const item of Responses?.[this.#name] ?? [])
        items.set(itemName({ pk: item['pk']!.S!, sk: item['sk']!.S! }), item)
      return UnprocessedKeys?.[this.#name]?.Keys
    })
    return items
  }

  /** Puts or deletes items that no other process writes. */
  async write(requests: WriteRequest[]): Promise<void> {
    await this.#untilDone(chunks(requests, WRITE_BATCH), async batch => {
      const { UnprocessedItems } = await this.#client.send(
        new BatchWriteItemCommand({ RequestItems: { [this.#name]: batch } }),
      )
      return UnprocessedItems?.[this.#name]
    })
  }

  /** Throws TransactionConflict. A single change needs no transaction, which would cost twice as much. */
  async commit(changes: TransactWriteItem[]): Promise<void> {
    const [{ Put, Update, Delete } = {}] = changes
    try {
      if (changes.length === 1 && Put) await this.#client.send(new PutItemCommand(Put))
      else if (changes.length === 1 && Update) await this.#client.send(new UpdateItemCommand(Update))
      else if (changes.length === 1 && Delete) await this.#client.send(new DeleteItemCommand(Delete))
      else await this.#client.send(new TransactWriteItemsCommand({ TransactItems: changes }))
    } catch (error) {
      if (isConflict(error)) throw new TransactionConflict('the transaction conflicted', { cause: error })
      throw error
    }
  }

  /** Items of a span in the order of sort keys, page by page. */
  async *pages(span: Span, limit: number): AsyncGenerator<Attributes[]> {
    if (span.from > span.to) return
    let start: Record<string, AttributeValue> | undefined
    do {
      const { Items, LastEvaluatedKey } = await this.#client.send(
        new QueryCommand({
          TableName: this.#name,
          ConsistentRead: true,
          Limit: Math.min(limit, READ_BATCH),
          KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
          ExpressionAttributeValues: { ':pk': { S: span.pk }, ':from': { S: span.from }, ':to': { S: span.to } },
          ...(start && { ExclusiveStartKey: start }),
        }),
      )
      yield Items ?? []
      start = LastEvaluatedKey
    } while (start)
  }

  /** Repeats each batch's call with what a throttled table returned unprocessed. Throws after some tries. */
  async #untilDone<T>(batches: T[], call: (batch: T) => Promise<T | undefined>): Promise<void> {
    const complete = async (batch: T) => {
      let remaining: T | undefined = batch
      for (let failures = 0; remaining !== undefined; failures++) {
        if (failures === MAX_TRIES) throw new Error('the table is too busy')
        if (failures > 0) await this.#clock.sleep(backOffMs(failures, BACK_OFF))
        remaining = await call(remaining)
      }
    }
    await Promise.all(batches.map(complete))
  }
}

/** A text that identifies an item of the table. */
export const itemName = ({ pk, sk }: ItemKey): string => `${pk} ${sk}`

function isConflict(error: unknown): boolean {
  const name = errorName(error)
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
