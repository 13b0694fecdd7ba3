import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { Attributes as Item } from '../../lib/platform/store/dynamodb/record.ts'
import type { Counts } from './counts.ts'

type AttributeValue = Item[string]
type Key = { pk: AttributeValue; sk: AttributeValue }

/** A conditional write of DynamoDB's API. */
interface Write {
  Item?: Item
  Key?: Key
  UpdateExpression?: string
  ConditionExpression?: string
  ExpressionAttributeNames?: Record<string, string>
  ExpressionAttributeValues?: Record<string, AttributeValue>
}

interface Query extends Write {
  Limit?: number
  ExclusiveStartKey?: Key
}

/** The size of an item by DynamoDB's rules: names and values in UTF-8; a number is at most 21 bytes. */
export function sizeOf(item: Item): number {
  const sizes = Object.entries(item).map(([name, { S, N, B, M }]) => {
    const value =
      S !== undefined
        ? Buffer.byteLength(S)
        : N !== undefined
          ? Math.ceil(N.length / 2) + 1
          : B !== undefined
            ? Buffer.from(String(B), 'base64').length
            : sizeOf(M ?? {}) + 3
    return Buffer.byteLength(name) + value
  })
  return sizes.reduce((sum, size) => sum + size, 0)
}

const readUnits = (bytes: number) => Math.max(1, Math.ceil(bytes / 4_096))
const writeUnits = (...bytes: number[]) => Math.max(1, Math.ceil(Math.max(...bytes) / 1_024))
const nameOf = ({ pk, sk }: Key | Item) => `${pk?.S} ${sk?.S}`

class ConditionFailed extends Error {}

/** Evaluates the store's own conditions. Throws for any other, so that nothing is counted wrongly. */
function holds({ ConditionExpression: condition, ExpressionAttributeValues: values = {} }: Write, old?: Item): boolean {
  const now = Number(values[':now']?.N)
  const expires = old?.['x']?.N === undefined ? Number.POSITIVE_INFINITY : Number(old['x'].N)
  if (condition === undefined) return true
  if (condition === 'attribute_not_exists(pk) OR x <= :now') return old === undefined || expires <= now
  if (condition === 'v = :v AND (attribute_not_exists(x) OR x > :now)')
    return old?.['v']?.N === values[':v']?.N && expires > now
  // The bounds of an addition were checked when it was planned, and there is no other writer.
  if (condition.startsWith('attribute_exists(#n) AND (attribute_not_exists(x) OR x > :now)'))
    return old?.['n'] !== undefined && expires > now
  throw new Error(`unsupported condition: ${condition}`)
}

/** A table in memory that counts the request units which AWS would charge. */
class CountingTable {
  readonly #items = new Map<string, Item>()
  readonly #counts: Counts

  constructor(counts: Counts) {
    this.#counts = counts
  }

  execute(operation: string, text: string): unknown {
    const input = JSON.parse(text)
    switch (operation) {
      case 'BatchGetItem':
        return this.#batchGet(input)
      case 'BatchWriteItem':
        return this.#batchWrite(input)
      case 'PutItem':
      case 'UpdateItem':
      case 'DeleteItem':
        return this.#write(input, 1)
      case 'TransactWriteItems':
        return this.#transact(input)
      case 'Query':
        return this.#query(input)
      default:
        throw new Error(`unsupported operation: ${operation}`)
    }
  }

  #write(change: Write, factor: number): void {
    const key = change.Item ?? change.Key ?? {}
    const old = this.#items.get(nameOf(key))
    if (!holds(change, old)) throw new ConditionFailed()
    const item = change.UpdateExpression ? updatedItem(old ?? {}, change) : change.Item
    this.#counts.add('writeUnits', factor * writeUnits(old ? sizeOf(old) : 0, item ? sizeOf(item) : 0))
    if (item) this.#items.set(nameOf(key), item)
    else this.#items.delete(nameOf(key))
  }

  #batchGet({ RequestItems }: { RequestItems: Record<string, { Keys: Key[] }> }): unknown {
    const tables = Object.entries(RequestItems).map(([table, { Keys }]) => {
      const items = Keys.map(key => this.#items.get(nameOf(key)))
      for (const item of items) this.#counts.add('readUnits', readUnits(item ? sizeOf(item) : 0))
      return [table, items.filter(item => item !== undefined)]
    })
    return { Responses: Object.fromEntries(tables) }
  }

  #batchWrite({ RequestItems }: { RequestItems: Record<string, Record<string, Write>[]> }): void {
    for (const request of Object.values(RequestItems).flat())
      for (const change of Object.values(request)) this.#write(change, 1)
  }

  #transact({ TransactItems }: { TransactItems: Record<string, Write>[] }): void {
    const writes = TransactItems.flatMap(item => Object.entries(item))
    if (writes.some(([, change]) => !holds(change, this.#items.get(nameOf(change.Item ?? change.Key ?? {})))))
      throw new ConditionFailed()
    // Each write of a transaction is charged twice: prepared, then committed.
    for (const [type, change] of writes)
      if (type === 'ConditionCheck')
        this.#counts.add('writeUnits', 2 * writeUnits(sizeOf(this.#items.get(nameOf(change.Key ?? {})) ?? {})))
      else this.#write(change, 2)
  }

  #query({ ExpressionAttributeValues: values = {}, Limit = 100, ExclusiveStartKey: start }: Query): unknown {
    const [pk, from = '', to = ''] = [':pk', ':from', ':to'].map(name => values[name]?.S)
    const all = [...this.#items.values()]
      .filter(item => item['pk']?.S === pk)
      .map(item => ({ item, sk: item['sk']?.S ?? '' }))
      .filter(({ sk }) => sk >= from && sk <= to && (!start || sk > (start.sk.S ?? '')))
      .sort((a, b) => (a.sk < b.sk ? -1 : 1))
      .map(({ item }) => item)
    const Items = all.slice(0, Limit)
    this.#counts.add('readUnits', readUnits(Items.reduce((sum, item) => sum + sizeOf(item), 0)))
    const last = Items.at(-1)
    return { Items, ...(last && all.length > Limit && { LastEvaluatedKey: { pk: last['pk'], sk: last['sk'] } }) }
  }
}

/** Serves a counting table over DynamoDB's HTTP API. */
export async function countingDynamodb(counts: Counts) {
  const table = new CountingTable(counts)
  const server = createServer(async (request, response) => {
    const operation = String(request.headers['x-amz-target']).split('.')[1] ?? ''
    const respond = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(body ?? {}))
    try {
      respond(200, table.execute(operation, await textOf(request)))
    } catch (error) {
      const type = error instanceof ConditionFailed ? 'ConditionalCheckFailedException' : 'ValidationException'
      respond(400, { __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: String(error) })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    endpoint: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    close: () => new Promise(resolve => server.close(resolve)),
  }
}

/** `SET v = v + :one, #n.#f = if_not_exists(#n.#f, :zero) + :by`, the store's only update. */
function updatedItem(
  old: Item,
  { ExpressionAttributeNames: names = {}, ExpressionAttributeValues: values = {} }: Write,
): Item {
  const field = names['#f'] ?? ''
  const plus = (a: AttributeValue | undefined, b: AttributeValue | undefined) => ({
    N: String(Number(a?.N ?? 0) + Number(b?.N)),
  })
  const numbers = old['n']?.M ?? {}
  return {
    ...old,
    v: plus(old['v'], values[':one']),
    n: { M: { ...numbers, [field]: plus(numbers[field], values[':by']) } },
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts).toString()
}
