import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import type { Item, Key } from '../../../ports/store.ts'
import { parseSubject, subjectText } from '../subject.ts'
import { type ItemKey, recordKey } from './table.ts'

export type Attributes = Record<string, AttributeValue>

/** A record's index entry: its key in the table, and its time to live (seconds since the epoch). */
export interface Entry extends ItemKey {
  ttl?: number | undefined
}

/** The fields of a record beside its body. */
export type IndexedFields = Pick<Item, 'due' | 'subject' | 'parent' | 'expires'>

/** A record to be written. */
interface RecordDraft extends Omit<Item, 'body'> {
  /** The body's JSON. */
  json: string
  entries: Entry[]
}

/**
 * Longer bodies are deflated: that is cheaper, and the longest (400 KB) would leave no room for the key in the item.
 */
const MAX_PLAIN_LENGTH = 4_096
/** DynamoDB's numbers have a smaller range than JavaScript's. */
const [MIN_NUMBER, MAX_NUMBER] = [1e-100, 1e100]

export const text = (value: string): AttributeValue => ({ S: value })
export const number = (value: number): AttributeValue => ({ N: String(value) })
export const keyAttributes = ({ pk, sk }: ItemKey): Attributes => ({ pk: text(pk), sk: text(sk) })

/**
 * `b` or `z` is the body (JSON, deflated JSON) and, if it is an object, `n` its numbers: they are separate so that
 * `add` can change one without reading the rest. `v`, `due`, `inst` (subject), `par` (parent) and `x` (expires) are the
 * record's fields, `ix` its index entries.
 */
export function encodeRecord(draft: RecordDraft): Attributes {
  const { key, version, json, due, subject, parent, expires, entries } = draft
  const { rest, numbers } = splitNumbers(json)
  return {
    ...keyAttributes(recordKey(key)),
    v: number(version),
    ix: text(JSON.stringify(entries)),
    ...(rest.length > MAX_PLAIN_LENGTH ? { z: { B: deflateRawSync(rest) } } : { b: text(rest) }),
    ...(numbers && { n: { M: numbers } }),
    ...(due !== undefined && { due: number(due) }),
    ...(subject !== undefined && { inst: text(subjectText(subject)) }),
    ...(parent !== undefined && { par: text(subjectText(parent)) }),
    ...(expires !== undefined && { x: number(expires), ttl: number(ttlOf(expires)) }),
  }
}

/** In seconds, as DynamoDB requires, and never before the record's own expiry. */
export const ttlOf = (expires: number): number => Math.ceil(expires / 1_000)

function splitNumbers(json: string): { rest: string; numbers?: Attributes } {
  if (!json.startsWith('{')) return { rest: json }
  const fields = Object.entries(JSON.parse(json))
  const isNumber = (value: unknown): value is number =>
    typeof value === 'number' && (value === 0 || (Math.abs(value) >= MIN_NUMBER && Math.abs(value) <= MAX_NUMBER))
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

const keyOf = (attributes: Attributes): Key => ({
  project: attributes['pk']!.S!.slice(2),
  id: attributes['sk']!.S!,
})

const numberOf = (value: AttributeValue | undefined) => (value?.N === undefined ? undefined : Number(value.N))
export const versionOf = (attributes: Attributes): number => Number(attributes['v']!.N)
export const entriesIn = (attributes: Attributes): Entry[] => JSON.parse(attributes['ix']!.S!)

/** The indexed fields that the record has. */
function fieldsOf({ due, inst, par, x }: Attributes): IndexedFields {
  const [dueMs, expires] = [numberOf(due), numberOf(x)]
  return {
    ...(dueMs !== undefined && { due: dueMs }),
    ...(inst?.S !== undefined && { subject: parseSubject(inst.S) }),
    ...(par?.S !== undefined && { parent: parseSubject(par.S) }),
    ...(expires !== undefined && { expires }),
  }
}

export function toItem(attributes: Attributes): Item {
  const key = keyOf(attributes)
  return { key, version: versionOf(attributes), body: bodyOf(attributes), ...fieldsOf(attributes) }
}

/** Whether the record exists and has not expired at `now`. */
export function isLive(attributes: Attributes | undefined, now: number): attributes is Attributes {
  const expires = numberOf(attributes?.['x'])
  return attributes !== undefined && (expires === undefined || expires > now)
}
