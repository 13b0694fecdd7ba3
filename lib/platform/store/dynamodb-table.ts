import { kindOf } from './changes.ts'
import type { Key } from './store.ts'

/**
 * The table, in CloudFormation's terms, as data for the deployment. No secondary index: they are eventually consistent, and a
 * record's index entries are items of the table itself (docs/decisions/011-dynamodb.md).
 */
export const TABLE = {
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'S' },
  ],
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
  BillingMode: 'PAY_PER_REQUEST',
  TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true },
} as const

/** An item's key in the table: of a record, or of an index entry. */
export interface Place {
  pk: string
  sk: string
}

/** What a record is found by. */
export interface Facts {
  due?: number | undefined
  instance?: string | undefined
}

/** Partitions of each index that spans projects; more of them take more writes, and cost more reads a listing. */
const SHARDS = 4
/** Between the parts of an entry's sort key: less than any character of an id. */
const END = '\u0001'
const AFTER_END = '\u0002'
const LAST = '\u{10ffff}'
const DUE_DIGITS = 16

export const recordPlace = ({ project, id }: Key): Place => ({ pk: `p/${project}`, sk: id })

/** In the order of projects, then ids; also the cursor of `all`. */
export const nameOf = ({ project, id }: Key): string => `${project}/${id}`

/** Where the index entries of a record stand; `token` makes them this writing's own, so that no other one can remove them. */
export function entriesOf(key: Key, { due, instance }: Facts, token: string): Place[] {
  const [name, shard] = [nameOf(key), shardOf(key)]
  const places = [{ pk: `k/${kindOf(key.id)}/${shard}`, sk: name + END + token }]
  if (due !== undefined) places.push({ pk: `d/${shard}`, sk: padded(due) + END + name + END + token })
  if (instance !== undefined) places.push({ pk: `i/${instance}`, sk: key.id + END + key.project + END + token })
  return places
}

/** An entry's place without its token. */
export const aimOf = ({ pk, sk }: Place): string => `${pk} ${sk.slice(0, sk.lastIndexOf(END))}`

/** A part of one partition, both ends included. */
export interface Span {
  pk: string
  from: string
  to: string
}

/** The ids of a kind (or all) after `after`. */
export function idSpan(pk: string, kind: string | undefined, after: string | undefined, separator: string): Span {
  const start = kind === undefined ? END : `${kind}#`
  const from = after === undefined || after < start ? start : after + separator
  return { pk, from, to: kind === undefined ? LAST : `${kind}#${LAST}` }
}

export const recordSpan = (project: string, kind: string, after?: string): Span =>
  // With a NUL behind it, an id becomes the least one after it.
  idSpan(recordPlace({ project, id: '' }).pk, kind, after, '\0')

export const instanceSpan = (instance: string, kind: string | undefined, after?: string): Span =>
  idSpan(`i/${instance}`, kind, after, AFTER_END)

export const kindSpans = (kind: string, after?: string): Span[] =>
  shards.map(shard => ({ pk: `k/${kind}/${shard}`, from: after === undefined ? END : after + AFTER_END, to: LAST }))

export const dueSpans = (before: number): Span[] =>
  shards.map(shard => ({ pk: `d/${shard}`, from: END, to: padded(before) + AFTER_END }))

const shards = Array.from({ length: SHARDS }, (_, shard) => shard)

function shardOf(key: Key): number {
  let hash = 0
  for (const char of nameOf(key)) hash = (Math.imul(hash, 31) + char.codePointAt(0)!) >>> 0
  return hash % SHARDS
}

/** Non-negative times in the order of their digits; whoever reads looks at the record's own time too. */
function padded(ms: number): string {
  return String(Math.min(Math.max(Math.floor(ms), 0), Number.MAX_SAFE_INTEGER)).padStart(DUE_DIGITS, '0')
}
