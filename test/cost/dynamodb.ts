import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { Attributes as Item } from '../../lib/platform/store/dynamodb-record.ts'
import type { Counts } from './counts.ts'

type AttributeValue = Item[string]
type Key = { pk: AttributeValue; sk: AttributeValue }

/** A conditional write as DynamoDB is asked for one. */
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

/** A condition that did not hold. */
class Failed extends Error {}

/** What the store's own conditions say; another one is an error, so that nothing is counted that was not understood. */
function holds({ ConditionExpression: condition, ExpressionAttributeValues: values = {} }: Write, old?: Item): boolean {
  const now = Number(values[':now']?.N)
  const expires = old?.['x']?.N === undefined ? Number.POSITIVE_INFINITY : Number(old['x'].N)
  if (condition === undefined) return true
  if (condition === 'attribute_not_exists(pk) OR x <= :now') return old === undefined || expires <= now
  if (condition === 'v = :v AND (attribute_not_exists(x) OR x > :now)')
    return old?.['v']?.N === values[':v']?.N && expires > now
  // The bounds of an addition were looked at when it was planned, and nobody else writes here.
  if (condition.startsWith('attribute_exists(#n) AND (attribute_not_exists(x) OR x > :now)'))
    return old?.['n'] !== undefined && expires > now
  throw new Error(`a condition that is not known: ${condition}`)
}

/** A DynamoDB table in memory, behind HTTP, that counts the request units which AWS would charge. */
export async function countingDynamodb(counts: Counts) {
  const items = new Map<string, Item>()

  function write(change: Write, factor: number): void {
    const key = change.Item ?? change.Key ?? {}
    const old = items.get(nameOf(key))
    if (!holds(change, old)) throw new Failed()
    const now = change.UpdateExpression ? added(old ?? {}, change) : change.Item
    counts.add('writeUnits', factor * writeUnits(old ? sizeOf(old) : 0, now ? sizeOf(now) : 0))
    if (now) items.set(nameOf(key), now)
    else items.delete(nameOf(key))
  }

  function get({ RequestItems }: { RequestItems: Record<string, { Keys: Key[] }> }): unknown {
    const tables = Object.entries(RequestItems).map(([table, { Keys }]) => {
      const found = Keys.map(key => items.get(nameOf(key)))
      for (const item of found) counts.add('readUnits', readUnits(item ? sizeOf(item) : 0))
      return [table, found.filter(item => item !== undefined)]
    })
    return { Responses: Object.fromEntries(tables) }
  }

  function writeAll({ RequestItems }: { RequestItems: Record<string, Record<string, Write>[]> }): void {
    for (const request of Object.values(RequestItems).flat())
      for (const change of Object.values(request)) write(change, 1)
  }

  function transact({ TransactItems }: { TransactItems: Record<string, Write>[] }): void {
    const writes = TransactItems.flatMap(item => Object.entries(item))
    if (writes.some(([, change]) => !holds(change, items.get(nameOf(change.Item ?? change.Key ?? {})))))
      throw new Failed()
    // All of it is written twice: prepared, then committed.
    for (const [kind, change] of writes)
      if (kind === 'ConditionCheck')
        counts.add('writeUnits', 2 * writeUnits(sizeOf(items.get(nameOf(change.Key ?? {})) ?? {})))
      else write(change, 2)
  }

  function query({ ExpressionAttributeValues: values = {}, Limit = 100, ExclusiveStartKey: start }: Query): unknown {
    const [pk, from = '', to = ''] = [':pk', ':from', ':to'].map(name => values[name]?.S)
    const all = [...items.values()]
      .filter(item => item['pk']?.S === pk)
      .map(item => ({ item, sk: item['sk']?.S ?? '' }))
      .filter(({ sk }) => sk >= from && sk <= to && (!start || sk > (start.sk.S ?? '')))
      .sort((a, b) => (a.sk < b.sk ? -1 : 1))
      .map(({ item }) => item)
    const Items = all.slice(0, Limit)
    counts.add('readUnits', readUnits(Items.reduce((sum, item) => sum + sizeOf(item), 0)))
    const last = Items.at(-1)
    return { Items, ...(last && all.length > Limit && { LastEvaluatedKey: { pk: last['pk'], sk: last['sk'] } }) }
  }

  function carriedOut(name: string, text: string): unknown {
    const input = JSON.parse(text)
    switch (name) {
      case 'BatchGetItem':
        return get(input)
      case 'BatchWriteItem':
        return writeAll(input)
      case 'PutItem':
      case 'UpdateItem':
      case 'DeleteItem':
        return write(input, 1)
      case 'TransactWriteItems':
        return transact(input)
      case 'Query':
        return query(input)
      default:
        throw new Error(`a call that is not known: ${name}`)
    }
  }

  const server = createServer(async (request, response) => {
    const name = String(request.headers['x-amz-target']).split('.')[1] ?? ''
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(body ?? {}))
    try {
      answer(200, carriedOut(name, await textOf(request)))
    } catch (error) {
      const type = error instanceof Failed ? 'ConditionalCheckFailedException' : 'ValidationException'
      answer(400, { __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: String(error) })
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
function added(
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
