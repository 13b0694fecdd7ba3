import { createHash, createHmac } from 'node:crypto'
import { z } from 'zod'
import type { Change, Store } from '../../platform/store/store.ts'
import type { Clock } from '../clock.ts'
import { badRequest, conflict, Fault, unprocessable } from '../errors.ts'
import type { Keys } from '../keys.ts'
import { kind } from '../records.ts'
import { secret } from '../secret.ts'
import type { Vault } from '../vault.ts'
import type { Reply } from './route.ts'

/** A request made under a key, as stored. */
export interface Once {
  /** HMAC of method, path, query and body, with the master key of that id. */
  fingerprint: string
  kid: string
  requestId: string
  /** Which process carries it out, and until when it can be at it (milliseconds since the epoch). */
  boot: string
  until: number
  /** The answer, encrypted; not there while it is carried out, or when it was lost. */
  answer?: unknown
}
export const onces = kind<Once>('idempotency')

/** What a handler came to. */
export type Outcome = { reply: Reply } | { fault: { status: number; message: string } }

export interface OnceDeps {
  store: Store
  vault: Vault
  keys: Keys
  clock: Clock
  boot: string
  isLive(boot: string): boolean
}

/** The request as its key is bound to it. */
export interface Asked {
  project: string
  user: string
  method: string
  path: string
  query: Record<string, string>
  body: string
  requestId: string
}

const KEPT_MS = 86_400_000
/** The longest that a request can take: API Gateway's 29 s. */
const LONGEST_MS = 30_000
const Answer = z.object({ answer: secret(z.string()) })

/** Throws 400 for what is not 1 to 255 printable ASCII characters. */
export function assertKey(key: string): void {
  if (!/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw badRequest('Idempotency-Key must be 1 to 255 printable ASCII characters.')
  }
}

/** The record of one request made under a key. */
export async function once(deps: OnceDeps, key: string, asked: Asked) {
  const { project, user, requestId } = asked
  const id = createHash('sha256').update(`${user}\n${key}`).digest('hex')
  const owner = `${project}/idempotency#${id}`
  const kid = await deps.keys.currentId()
  const started = deps.clock.now()
  const base = { kid, requestId, boot: deps.boot, until: started + LONGEST_MS }
  const mine: Once = { ...base, fingerprint: await fingerprint(deps.keys, kid, asked) }
  const put = (body: Once, was: number): Change => ({
    op: 'put',
    key: onces.key(project, id),
    body,
    was,
    expires: started + KEPT_MS,
  })
  return {
    /** The first answer; undefined if this request is the first. Throws 422 for another request's key, 409 without an answer. */
    async first(): Promise<Outcome | undefined> {
      const known = (await onces.get(deps.store, project, id))?.body
      if (!known) return undefined
      if (known.fingerprint !== (await fingerprint(deps.keys, known.kid, asked))) {
        throw unprocessable('This Idempotency-Key was used with another request.')
      }
      if (known.answer === undefined) throw unanswered(deps, known)
      const { answer } = Answer.parse(await deps.vault.unlock(Answer, known.answer, owner))
      return JSON.parse(answer) as Outcome
    },
    /** The change that goes with the request's own: it fails them if another came first. */
    begun: (): Change => put(mine, 0),
    /** The change that keeps the answer; `early` = `begun` was carried out already. */
    async ended(outcome: Outcome, early: boolean): Promise<Change> {
      const answer = await deps.vault.lock(Answer, { answer: JSON.stringify(outcome) }, owner)
      return put({ ...mine, answer }, early ? 1 : 0)
    },
  }
}
export type OnceRecord = Awaited<ReturnType<typeof once>>

function unanswered({ clock, isLive }: OnceDeps, { until, boot, requestId }: Once): Fault {
  if (until > clock.now() && isLive(boot)) {
    return conflict('The first request with this Idempotency-Key is still being carried out.')
  }
  return conflict(
    `The first request with this Idempotency-Key (${requestId}) was taken, but its answer was lost: look at what it changed.`,
  )
}

async function fingerprint(keys: Keys, kid: string, { method, path, query, body }: Asked): Promise<string> {
  const key = await keys.derive(kid, 'idempotency')
  return createHmac('sha256', key)
    .update(JSON.stringify([method, path, query, body]))
    .digest('base64url')
}

/** The outcome as it goes on through the pipeline. Throws what the first one threw. */
export function replayed(outcome: Outcome): Reply {
  if ('fault' in outcome) throw new Fault(outcome.fault.status, outcome.fault.message)
  return { ...outcome.reply, headers: { ...outcome.reply.headers, 'Idempotency-Replayed': 'true' } }
}
