import { createHash, createHmac } from 'node:crypto'
import { z } from 'zod'
import type { Change, Store } from '../../ports/store.ts'
import type { Clock } from '../clock.ts'
import type { Keys } from '../crypto/keys.ts'
import { secret } from '../crypto/secret.ts'
import type { Vault } from '../crypto/vault.ts'
import { badRequest, conflict, Fault, unprocessable } from '../errors.ts'
import { recordType, renameFields, type Stored } from '../records.ts'
import type { Reply } from './route.ts'

/** The stored record of a request made with an `Idempotency-Key`. */
export interface IdempotencyRecord {
  /** HMAC of method, path, query and body, with the master key of that id. */
  fingerprint: string
  kid: string
  /** The key of that HMAC, encrypted, once its master key is not the current one any more. */
  fingerprintKey?: string
  requestId: string
  /** The process that executes the request, and when it has ended at the latest (milliseconds since the epoch). */
  processId: string
  until: number
  /** The outcome, encrypted. Missing while the request is executed, and for good if its process died. */
  answer?: unknown
}
/** The records of requests with an `Idempotency-Key`. */
export const idempotencyRecords = recordType<IdempotencyRecord>('idempotency', body =>
  renameFields(body, { boot: 'processId' }),
)

/** What a handler returned or threw. */
export type HandlerOutcome = { reply: Reply } | { fault: { status: number; message: string } }

/** The dependencies of idempotency records. */
export interface IdempotencyDeps {
  store: Store
  vault: Vault
  keys: Keys
  clock: Clock
  processId: string
  isProcessAlive(boot: string): boolean
}

/** The request to which a key is bound. */
export interface RequestIdentity {
  project: string
  user: string
  method: string
  path: string
  query: Record<string, string>
  body: string
  requestId: string
}

/** How long a key is remembered. */
const RETENTION_MS = 86_400_000
/** A request has ended by then: API Gateway gives it 29 s. */
const MAX_REQUEST_MS = 30_000
const FingerprintKey = z.object({ fingerprintKey: secret(z.string()) })
const Answer = z.object({ answer: secret(z.string()) })

/** Throws Fault 400 unless the key is 1 to 255 printable ASCII characters. */
export function assertKey(key: string): void {
  if (!/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw badRequest('Idempotency-Key must be 1 to 255 printable ASCII characters.')
  }
}

/** Reads and writes the record of a request made with this key. */
export async function openRecord(deps: IdempotencyDeps, key: string, request: RequestIdentity) {
  const { project, user, requestId } = request
  const id = createHash('sha256').update(`${user}\n${key}`).digest('hex')
  const owner = ownerOf(project, id)
  const kid = await deps.keys.currentId()
  const started = deps.clock.now()
  const base = { kid, requestId, processId: deps.processId, until: started + MAX_REQUEST_MS }
  const record: IdempotencyRecord = {
    ...base,
    fingerprint: fingerprint(await derivedFingerprintKey(deps.keys, kid), request),
  }
  const put = (body: IdempotencyRecord, was: number): Change => ({
    op: 'put',
    key: idempotencyRecords.key(project, id),
    body,
    was,
    expires: started + RETENTION_MS,
  })
  return {
    /**
     * The outcome of the first request with this key; undefined if this one is the first. Throws Fault 422 if the key
     * was used for another request, 409 if the outcome of the first is not known.
     */
    async previous(): Promise<HandlerOutcome | undefined> {
      const existing = (await idempotencyRecords.get(deps.store, project, id))?.body
      if (!existing) return undefined
      if (existing.fingerprint !== fingerprint(await fingerprintKeyOf(deps, existing, owner), request)) {
        throw unprocessable('This Idempotency-Key was used with another request.')
      }
      if (existing.answer === undefined) throw unfinishedConflict(deps, existing)
      const { answer } = Answer.parse(await deps.vault.unlock(Answer, existing.answer, owner))
      return JSON.parse(answer) as HandlerOutcome
    },
    /** The change that reserves the key. It conflicts if another request reserved it first. */
    reserve: (): Change => put(record, 0),
    /** The change that stores the outcome. `reserved` says whether the change of `reserve` is committed. */
    async complete(outcome: HandlerOutcome, reserved: boolean): Promise<Change> {
      const answer = await deps.vault.lock(Answer, { answer: JSON.stringify(outcome) }, owner)
      return put({ ...record, answer }, reserved ? 1 : 0)
    },
  }
}
/** The record of one request, opened by `openRecord`. */
export type OpenRecord = Awaited<ReturnType<typeof openRecord>>

function unfinishedConflict(
  { clock, isProcessAlive }: IdempotencyDeps,
  { until, processId, requestId }: IdempotencyRecord,
): Fault {
  if (until > clock.now() && isProcessAlive(processId)) {
    return conflict('The first request with this Idempotency-Key is still being carried out.')
  }
  const first = `The first request with this Idempotency-Key (${requestId})`
  return conflict(`${first} was accepted, but its response was lost: check what it changed.`)
}

/** The owner under which a record's secrets are encrypted. */
const ownerOf = (project: string, id: string) => `${project}/idempotency#${id}`

const derivedFingerprintKey = (keys: Keys, kid: string) => keys.derive(kid, 'idempotency')

async function fingerprintKeyOf(
  { keys, vault }: Pick<IdempotencyDeps, 'keys' | 'vault'>,
  { kid, fingerprintKey }: IdempotencyRecord,
  owner: string,
): Promise<Uint8Array> {
  if (fingerprintKey === undefined) return derivedFingerprintKey(keys, kid)
  const unlocked = FingerprintKey.parse(await vault.unlock(FingerprintKey, { fingerprintKey }, owner))
  return new Uint8Array(Buffer.from(unlocked.fingerprintKey, 'base64url'))
}

/** The record with all its secrets encrypted with the current master key; undefined if they are. */
export async function renewIdempotency(
  { keys, vault }: Pick<IdempotencyDeps, 'keys' | 'vault'>,
  { key, body }: Stored<IdempotencyRecord>,
): Promise<IdempotencyRecord | undefined> {
  const owner = ownerOf(key.project, key.id.slice(idempotencyRecords.name.length + 1))
  const { value, renewed } = await vault.renew(body, owner)
  const next = value as IdempotencyRecord
  if (body.fingerprintKey !== undefined || body.kid === (await keys.currentId())) return renewed > 0 ? next : undefined
  const bytes = await derivedFingerprintKey(keys, body.kid).catch(() => undefined)
  if (!bytes) return renewed > 0 ? next : undefined
  const plain = { fingerprintKey: Buffer.from(bytes).toString('base64url') }
  return { ...next, ...((await vault.lock(FingerprintKey, plain, owner)) as typeof plain) }
}

function fingerprint(key: Uint8Array, { method, path, query, body }: RequestIdentity): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([method, path, query, body]))
    .digest('base64url')
}

/** The reply of the first request, marked as replayed. Throws Fault if that is what the first request threw. */
export function replayOutcome(outcome: HandlerOutcome): Reply {
  if ('fault' in outcome) throw new Fault(outcome.fault.status, outcome.fault.message)
  return { ...outcome.reply, headers: { ...outcome.reply.headers, 'Idempotency-Replayed': 'true' } }
}
