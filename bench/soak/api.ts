import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../lib/kit/errors.ts'
import { type Answer, login, type OpenrcFile, parseJson } from '../../test/e2e/coffer.ts'
import { assertDescribed } from '../../test/openapi/answers.ts'
import type { SoakedCoffer } from './coffer.ts'
import type { Journal } from './journal.ts'

/** A request without an answer for so long hangs. */
const HANG_MS = 60_000
const LOGIN_MS = 120_000
const PAUSE_MS = 250
/** How often a request with an Idempotency-Key is repeated. */
const REPETITIONS = 120

export type Reply = Pick<Answer, 'status' | 'body' | 'text'> & { requestId: string }

/** A member or an admin of a project. */
export interface Client {
  project: string
  /** Calls a path below `/v1.0/{project}`. Resolves to undefined if there was no answer. */
  call(action: string, method: string, path: string, body?: unknown): Promise<Reply | undefined>
  /** Repeats a POST under one Idempotency-Key until it is answered. Throws if it never is. */
  callOnce(action: string, path: string, body: unknown): Promise<Reply>
}

/** Logs in as the user of an `openrc` file of the data directory, and again whenever the token is refused. */
export async function logIn(coffer: SoakedCoffer, file: OpenrcFile, journal: Journal): Promise<Client> {
  const session = () => repeated(() => login(join(coffer.dataDir, file)))
  let { project, token } = await session()
  const send = async (action: string, method: string, path: string, body?: unknown, key?: string) => {
    const request = { action, method, url: `${coffer.base}/v1.0/${project}${path}`, path, body, key }
    const reply = await exchange(coffer, journal, { ...request, token })
    if (reply?.status !== 401) return reply
    token = (await session()).token
    return exchange(coffer, journal, { ...request, token })
  }
  return {
    project,
    call: send,
    async callOnce(action, path, body) {
      const key = crypto.randomUUID()
      for (let tries = 0; tries < REPETITIONS; tries++) {
        const reply = await send(action, 'POST', path, body, key)
        // A repetition while the first request still runs, or a failure, which is not stored.
        const isFinal = reply && reply.status < 500 && !(reply.status === 409 && /Idempotency/i.test(reply.text))
        if (isFinal) return reply
        await sleep(PAUSE_MS)
      }
      throw new Error(`${action} was never answered`)
    },
  }
}

interface SentRequest {
  action: string
  method: string
  url: string
  path: string
  body: unknown
  key: string | undefined
  token: string
}

async function exchange(coffer: SoakedCoffer, journal: Journal, request: SentRequest): Promise<Reply | undefined> {
  const { action, method, url, path } = request
  const from = Date.now()
  const note = (status: number, text: string, requestId = '') =>
    journal.exchange(
      { action, method, path, from, to: Date.now(), status, requestId, text: text.slice(0, 500) },
      coffer.wasAway(from, Date.now()),
    )
  try {
    const response = await fetch(url, fetchOptions(request))
    const { status, headers } = response
    const requestId = headers.get('x-openstack-request-id') ?? ''
    const text = await response.text()
    const body = parseJson(text)
    // A token that has expired is replaced, and is no answer to the action.
    if (status !== 401) note(status, status >= 500 ? text : '', requestId)
    try {
      assertDescribed(method, url, { status, type: headers.get('content-type'), body })
    } catch (error) {
      journal.problem(messageOf(error))
    }
    return { status, body, text, requestId }
  } catch (error) {
    if (Date.now() - from >= HANG_MS) journal.problem(`${action}: ${method} ${path} was not answered in a minute`)
    const reason = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)
    note(0, reason)
    return undefined
  }
}

function fetchOptions({ method, body, key, token }: SentRequest): RequestInit {
  return {
    method,
    headers: {
      'x-auth-token': token,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(key !== undefined && { 'idempotency-key': key }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(HANG_MS),
  }
}

/** Repeats what fails while the control plane is away. */
async function repeated<T>(work: () => Promise<T>): Promise<T> {
  const end = Date.now() + LOGIN_MS
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (Date.now() > end) throw error
    }
    await sleep(PAUSE_MS)
  }
}

/** The certificates with which databases prove who they are. */
export const authority = (dataDir: string): string => readFileSync(join(dataDir, 'ca.pem'), 'utf8')
