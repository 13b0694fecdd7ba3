import { afterEach, beforeEach, expect, it } from '@jest/globals'
import { Fault } from '../../../lib/kit/errors.ts'
import type { ApiEvent } from '../../../lib/kit/http/pipeline.ts'
import type { Call, Reply } from '../../../lib/kit/http/route.ts'
import { route } from '../../../lib/kit/http/route.ts'
import { type SafeDeps, safely } from '../../../lib/kit/http/safe.ts'
import { derivedKeys } from '../../../lib/kit/keys.ts'
import { vault } from '../../../lib/kit/vault.ts'
import { embeddedQueue } from '../../../lib/platform/queue/embedded.ts'
import { sqliteStore } from '../../../lib/platform/store/sqlite.ts'
import type { Change } from '../../../lib/platform/store/store.ts'
import { proxyEvent } from '../../../local/events.ts'
import { seededRandom, silentLog } from '../random.ts'
import { type VirtualClock, virtualClock } from '../virtual-clock.ts'

let clock: VirtualClock
let deps: SafeDeps
let alive: boolean
let runs: number

beforeEach(() => {
  clock = virtualClock()
  alive = true
  runs = 0
  const random = seededRandom(1)
  const master = { id: 'k1', bytes: random.bytes(32) }
  const keys = derivedKeys({ current: async () => master, byId: async () => master })
  const store = sqliteStore(':memory:', { clock })
  const queue = embeddedQueue({ clock, random })
  const plain = { clock, random, log: silentLog, publicUrl: undefined }
  deps = { ...plain, store, queue, vault: vault(keys), keys, boot: 'b1', isLive: () => alive }
})
afterEach(() => deps.store.close())

type Work = (call: Call<unknown, SafeDeps>) => Promise<Reply>
const put = (id: string, was?: number): Change => ({
  op: 'put',
  key: { project: 'p', id },
  body: {},
  ...(was !== undefined && { was }),
})

/** Sends a POST under the key to a route that does this. */
async function sent(work: Work, key = 'k', method: 'POST' | 'PATCH' | 'DELETE' = 'POST'): Promise<Reply> {
  const headers = { 'Idempotency-Key': key }
  const incoming = { method, path: '/v1.0/p/things', search: '', headers, body: '{}', remote: '' }
  const known = { deps, method, params: {}, query: {}, body: {}, project: 'p', user: 'u', admin: false, base: '' }
  const call: Call<unknown, SafeDeps> = { ...known, requestId: 'req-1', log: silentLog }
  const found = route<SafeDeps>({ method, path: '/things', summary: '', answers: { status: 200 } }, async given => {
    runs += 1
    return work(given)
  })
  const trip = { started: 0, call, match: { route: found, params: {} } }
  const event: ApiEvent<SafeDeps> = { ...proxyEvent(incoming, undefined), trip }
  const request = { event, context: {}, response: null, error: null, internal: {} }
  await safely<SafeDeps>(() => []).before?.(request as never)
  return event.trip.match?.route.handle(call as never) as Promise<Reply>
}
const told = (asked: Promise<Reply>) =>
  asked.then(
    reply => [reply.status, reply.body] as unknown[],
    (error: Fault) => [error.status ?? error.message, error.message],
  )
const store = (call: Call<unknown, SafeDeps>) => call.deps.store

it('a failure of ours that changed nothing is no answer: the request is made again', async () => {
  const broken: Work = async call => {
    await store(call).transact([put('a#1', 0)])
    throw new Error('broken')
  }
  expect(await told(sent(broken))).toEqual(['broken', 'broken'])
  expect(await deps.store.get({ project: 'p', id: 'a#1' })).toBeUndefined()
  const gone: Work = async () => {
    throw new Fault(504, 'no agent')
  }
  expect(await told(sent(gone))).toEqual([504, 'no agent'])
  expect(await told(sent(async () => ({ status: 202, body: 'done' })))).toEqual([202, 'done'])
  expect(await told(sent(broken))).toEqual([202, 'done'])
  expect(runs).toBe(3)
})

it('a failure after something was changed is the answer, and nothing is done twice', async () => {
  const half =
    (error: Error, id = 'a#1'): Work =>
    async call => {
      await store(call).transact([put(id, 0)])
      await store(call).get({ project: 'p', id })
      throw error
    }
  expect(await told(sent(half(new Fault(504, 'not yet'))))).toEqual([504, 'not yet'])
  expect(await told(sent(half(new Fault(504, 'again'))))).toEqual([504, 'not yet'])
  expect(await told(sent(half(new Error('broken'), 'a#2'), 'k2'))).toEqual(['broken', 'broken'])
  const unexpected = 'An unexpected error happened: req-1.'
  expect(await told(sent(half(new Error('broken'), 'a#3'), 'k2'))).toEqual([500, unexpected])
  expect(runs).toBe(2)
})

it('a change that another came before is made again from what is there now', async () => {
  const seen: (number | undefined)[] = []
  const rising: Work = async call => {
    const item = await store(call).get({ project: 'p', id: 'a#1' })
    seen.push(item?.version)
    if (seen.length === 1) await deps.store.transact([put('a#1')])
    await store(call).transact([put('a#1', item?.version ?? 0)])
    return { status: 200, body: seen.length }
  }
  expect(await told(sent(rising))).toEqual([200, 2])
  expect(await told(sent(rising))).toEqual([200, 2])
  expect(seen).toEqual([undefined, 1])
})

it('a repeat while the first waits is told to wait; when the process died after the change, that the answer is lost', async () => {
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  let changed = () => {}
  const change = new Promise<void>(resolve => {
    changed = resolve
  })
  const first = sent(async call => {
    await store(call).transact([put('a#1', 0)])
    await store(call).get({ project: 'p', id: 'a#1' })
    changed()
    await held
    return { status: 202 }
  })
  await change
  const never: Work = async () => ({ status: 200 })
  expect(await told(sent(never))).toEqual([409, expect.stringContaining('still being carried out')])
  alive = false
  expect(await told(sent(never))).toEqual([409, expect.stringContaining('(req-1) was taken, but its answer was lost')])
  alive = true
  await clock.advance(30_001)
  expect(await told(sent(never))).toEqual([409, expect.stringContaining('lost')])
  release()
  expect(await told(first)).toEqual([202, undefined])
  expect(await told(sent(never))).toEqual([202, undefined])
  expect(runs).toBe(1)
})

it('of two at once that change the same, one is carried out and the other told its answer', async () => {
  const both = [1, 2].map(number =>
    told(
      sent(async call => {
        await store(call).transact([put('a#1')])
        return { status: 200, body: number }
      }),
    ),
  )
  const answers = await Promise.all(both)
  expect(answers[0]).toEqual(answers[1])
  expect((await deps.store.get({ project: 'p', id: 'a#1' }))?.version).toBe(1)
})

it('keys are for POST and PATCH: other methods can be repeated as they are', async () => {
  for (const method of ['POST', 'PATCH', 'DELETE'] as const) {
    runs = 0
    for (const status of [201, 202]) await sent(async () => ({ status }), method, method)
    expect([method, runs]).toEqual([method, method === 'DELETE' ? 2 : 1])
  }
})
