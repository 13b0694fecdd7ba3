import type { Key, Subject } from '../../../ports/store.ts'
import { kindOf } from '../changes.ts'
import { subjectText } from '../subject.ts'

/**
 * The table, in CloudFormation's terms, as data for the deployment. No secondary index: they are eventually consistent,
 * and a record's index entries are items of the table itself (docs/decisions/011-dynamodb.md).
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
export interface ItemKey {
  pk: string
  sk: string
}

/** The fields of a record that have an index. */
interface IndexedFields {
  due?: number | undefined
  subject?: Subject | undefined
  parent?: Subject | undefined
}

/** Partitions of each index that spans projects: more of them allow more writes, and cost more reads for a listing. */
const SHARDS = 4
/** Separates the parts of an entry's sort key; it sorts before any character of an id. */
const SEPARATOR = '\u0001'
const AFTER_SEPARATOR = '\u0002'
const LAST = '\u{10ffff}'
const DUE_DIGITS = 16

export const recordKey = ({ project, id }: Key): ItemKey => ({ pk: `p/${project}`, sk: id })

/** Sorts by project, then id; also the cursor of `all`. */
export const recordName = ({ project, id }: Key): string => `${project}/${id}`

/**
 * The keys of a record's index entries. `token` is unique to this write, so that no other write can remove its entries.
 */
export function entriesOf(key: Key, { due, subject, parent }: IndexedFields, token: string): ItemKey[] {
  const [name, shard] = [recordName(key), shardOf(key)]
  const keys = [{ pk: `k/${kindOf(key.id)}/${shard}`, sk: name + SEPARATOR + token }]
  if (due !== undefined) keys.push({ pk: `d/${shard}`, sk: padded(due) + SEPARATOR + name + SEPARATOR + token })
  const sk = key.id + SEPARATOR + key.project + SEPARATOR + token
  if (subject !== undefined) keys.push({ pk: subjectPartition(subject), sk })
  if (parent !== undefined) keys.push({ pk: parentPartition(parent), sk })
  return keys
}

const subjectPartition = (subject: Subject) => `i/${subjectText(subject)}`
const parentPartition = (parent: Subject) => `o/${subjectText(parent)}`

/** An entry's key without its token. */
export const targetOf = ({ pk, sk }: ItemKey): string => `${pk} ${sk.slice(0, sk.lastIndexOf(SEPARATOR))}`

/** A range of one partition, both ends included. */
export interface Span {
  pk: string
  from: string
  to: string
}

/** The ids of a kind (or all) after `after`. */
function idSpan(pk: string, kind: string | undefined, after: string | undefined, separator: string): Span {
  const start = kind === undefined ? SEPARATOR : `${kind}#`
  const from = after === undefined || after < start ? start : after + separator
  return { pk, from, to: kind === undefined ? LAST : `${kind}#${LAST}` }
}

export const recordSpan = (project: string, kind: string, after?: string): Span =>
  // An id with a NUL appended is the smallest id after it.
  idSpan(recordKey({ project, id: '' }).pk, kind, after, '\0')

export const subjectSpan = (subject: Subject, kind: string | undefined, after?: string): Span =>
  idSpan(subjectPartition(subject), kind, after, AFTER_SEPARATOR)

export const parentSpan = (parent: Subject, kind: string | undefined, after?: string): Span =>
  idSpan(parentPartition(parent), kind, after, AFTER_SEPARATOR)

export const kindSpans = (kind: string, after?: string): Span[] =>
  shards.map(shard => ({
    pk: `k/${kind}/${shard}`,
    from: after === undefined ? SEPARATOR : after + AFTER_SEPARATOR,
    to: LAST,
  }))

export const dueSpans = (before: number): Span[] =>
  shards.map(shard => ({ pk: `d/${shard}`, from: SEPARATOR, to: padded(before) + AFTER_SEPARATOR }))

const shards = Array.from({ length: SHARDS }, (_, shard) => shard)

function shardOf(key: Key): number {
  let hash = 0
  for (const char of recordName(key)) hash = (Math.imul(hash, 31) + char.codePointAt(0)!) >>> 0
  return hash % SHARDS
}

/** A time as digits that sort like the number; negative times become 0, and fractions are dropped. */
function padded(ms: number): string {
  return String(Math.min(Math.max(Math.floor(ms), 0), Number.MAX_SAFE_INTEGER)).padStart(DUE_DIGITS, '0')
}
