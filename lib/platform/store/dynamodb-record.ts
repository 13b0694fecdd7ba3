import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { type Place, recordPlace } from './dynamodb-table.ts'
import { BadTransaction, type Item, type Key, MAX_ITEM_BYTES } from './store.ts'

export type Attributes = Record<string, AttributeValue>

/** A record's index entry: where it stands, and its time to live. */
export interface Entry extends Place {
  ttl?: number | undefined
}

/** A record as it is to be written. */
export interface Draft extends Omit<Item, 'body'> {
  /** The body's JSON. */
  json: string
  entries: Entry[]
}

/** Longer bodies are deflated: cheaper, and the longest (400 KB) would fill DynamoDB's item without their key. */
const PLAIN_LENGTH = 4_096
/** DynamoDB's numbers have a smaller range than JavaScript's. */
const [LEAST, MOST] = [1e-100, 1e100]

export const text = (value: string): AttributeValue => ({ S: value })
export const number = (value: number): AttributeValue => ({ N: String(value) })
export const placed = ({ pk, sk }: Place): Attributes => ({ pk: text(pk), sk: text(sk) })

/** The JSON of a body. Throws BadTransaction. */
export function toJson(body: unknown): string {
  const json: string | undefined = JSON.stringify(body)
  if (json === undefined) throw new BadTransaction('a body that JSON cannot hold')
  if (json.length * 3 > MAX_ITEM_BYTES && Buffer.byteLength(json) > MAX_ITEM_BYTES)
    throw new BadTransaction(`a body of more than ${MAX_ITEM_BYTES} bytes`)
  return json
}

/**
 * `b` or `z` is the body (JSON, deflated JSON) and, where it is an object, `n` its numbers: they are apart so that `add` can
 * change one without reading the rest. `v`, `due`, `inst` and `x` (expires) are the record's fields, `ix` says where its entries are.
 */
export function encoded({ key, version, json, due, instance, expires, entries }: Draft): Attributes {
  const { rest, numbers } = parted(json)
  return {
    ...placed(recordPlace(key)),
    v: number(version),
    ix: text(JSON.stringify(entries)),
    ...(rest.length > PLAIN_LENGTH ? { z: { B: deflateRawSync(rest) } } : { b: text(rest) }),
    ...(numbers && { n: { M: numbers } }),
    ...(due !== undefined && { due: number(due) }),
    ...(instance !== undefined && { inst: text(instance) }),
    ...(expires !== undefined && { x: number(expires), ttl: number(ttlOf(expires)) }),
  }
}

/** In seconds, as DynamoDB wants it, and never before the record's own time. */
export const ttlOf = (expires: number): number => Math.ceil(expires / 1_000)

function parted(json: string): { rest: string; numbers?: Attributes } {
  if (!json.startsWith('{')) return { rest: json }
  const fields = Object.entries(JSON.parse(json))
  const isNumber = (value: unknown): value is number =>
    typeof value === 'number' && (value === 0 || (Math.abs(value) >= LEAST && Math.abs(value) <= MOST))
  const numbers = fields.flatMap(([name, value]) => (isNumber(value) && name !== '' ? [[name, number(value)]] : []))
  const rest = fields.filter(([name, value]) => !isNumber(value) || name === '')
  return { rest: JSON.stringify(Object.fromEntries(rest)), numbers: Object.fromEntries(numbers) }
}

export function bodyOf({ b, z, n }: Attributes): unknown {
  const body: unknown = JSON.parse(z?.B ? inflateRawSync(z.B).toString() : (b?.S ?? 'null'))
  if (!n?.M || typeof body !== 'object') return body
  const numbers = Object.entries(n.M).map(([name, value]) => [name, Number(value.N)])
  return { ...body, ...Object.fromEntries(numbers) }
}

export const keyOf = (attributes: Attributes): Key => ({
  project: attributes['pk']!.S!.slice(2),
  id: attributes['sk']!.S!,
})

const numberOf = (value: AttributeValue | undefined) => (value?.N === undefined ? undefined : Number(value.N))
export const versionOf = (attributes: Attributes): number => Number(attributes['v']!.N)
export const entriesIn = (attributes: Attributes): Entry[] => JSON.parse(attributes['ix']!.S!)

/** Its indexed fields, those that it has. */
export function fieldsOf({ due, inst, x }: Attributes): Pick<Item, 'due' | 'instance' | 'expires'> {
  const [at, expires, instance] = [numberOf(due), numberOf(x), inst?.S]
  return {
    ...(at !== undefined && { due: at }),
    ...(instance !== undefined && { instance }),
    ...(expires !== undefined && { expires }),
  }
}

export function toItem(attributes: Attributes): Item {
  const key = keyOf(attributes)
  return { key, version: versionOf(attributes), body: bodyOf(attributes), ...fieldsOf(attributes) }
}

/** Whether there is such a record at `now`. */
export function isLive(attributes: Attributes | undefined, now: number): attributes is Attributes {
  const expires = numberOf(attributes?.['x'])
  return attributes !== undefined && (expires === undefined || expires > now)
}
