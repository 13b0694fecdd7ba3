import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { derivedKeys } from '../../../lib/kit/crypto/keys.ts'
import { vault } from '../../../lib/kit/crypto/vault.ts'
import { Fault, STORE_FULL } from '../../../lib/kit/errors.ts'
import { type MutationDeps, mutations } from '../../../lib/kit/http/mutation.ts'
import type { ApiEvent } from '../../../lib/kit/http/pipeline.ts'
import { type Call, type Mutation, type Reply, route } from '../../../lib/kit/http/route.ts'
import { embeddedQueue } from '../../../lib/platform/queue/embedded/queue.ts'
import { sqliteStore } from '../../../lib/platform/store/sqlite/store.ts'
import { type Change, StoreFull } from '../../../lib/ports/store.ts'
import { proxyEvent } from '../../../local/gateway/events.ts'
import { seededRandom, silentLog } from '../random.ts'
import { secretsOf } from '../secrets.ts'
import { type VirtualClock, virtualClock } from '../virtual-clock.ts'

let clock: VirtualClock
let deps: MutationDeps
let alive: boolean
let runs: number

beforeEach(() => {
  clock = virtualClock()
  alive = true
  runs = 0
  const random = seededRandom(1)
  const master = { id: 'k1', bytes: random.bytes(32) }
  const keys = derivedKeys(secretsOf([master]))
  const store = sqliteStore(':memory:', { clock })
  const queue = embeddedQueue({ clock, random })
  const plain = { clock, random, log: silentLog, publicUrl: undefined }
  deps = { ...plain, store, queue, vault: vault(keys), keys, processId: 'b1', isProcessAlive: () => alive }
})
afterEach(() => deps.store.close())

type Work = (call: Call<unknown, MutationDeps>) => Promise<Mutation>
const put = (id: string, was?: number): Change => ({
  op: 'put',
  key: { project: 'p', id },
  body: {},
  ...(was !== undefined && { was }),
})

/** Sends a request with the key to a route that does this work. */
async function send(work: Work, key = 'k', method: 'POST' | 'PATCH' | 'DELETE' = 'POST'): Promise<Reply> {
  const headers = { 'Idempotency-Key': key }
  const incoming = { method, path: '/v1.0/p/things', search: '', headers, body: '{}', remote: '' }
  const fields = { deps, method, params: {}, query: {}, body: {}, project: 'p', user: 'u', admin: false, baseUrl: '' }
  const call: Call<unknown, MutationDeps> = { ...fields, requestId: 'req-1', log: silentLog }
  const definition = route<MutationDeps>(
    { method, path: '/things', summary: '', response: { status: 200 } },
    async received => {
      runs += 1
      return work(received)
    },
  )
  const state = { started: 0, call, match: { route: definition, params: {} } }
  const event: ApiEvent<MutationDeps> = { ...proxyEvent(incoming, undefined), state }
  const request = { event, context: {}, response: null, error: null, internal: {} }
  await mutations<MutationDeps>(() => []).before?.(request as never)
  return event.state.match?.route.handle(call as never) as Promise<Reply>
}
/** The status and body of the reply, or of the fault. */
const resultOf = (reply: Promise<Reply>) =>
  reply.then(
    ({ status, body }) => [status, body] as unknown[],
    (error: Fault) => [error.status ?? error.message, error.message],
  )
const store = (call: Call<unknown, MutationDeps>) => call.deps.store

describe('mutations', () => {
  it('commits the changes together with the records of the request, and sends the messages after that', async () => {
    await deps.queue.declare('tasks')
    const transactions: string[][] = []
    const inner = deps.store
    deps.store = {
      ...inner,
      async transact(changes) {
        expect(await deps.queue.receive('tasks', { max: 1, waitMs: 0 })).toEqual([])
        await inner.transact(changes)
        transactions.push(changes.map(({ key }) => key.id.split('#')[0] ?? ''))
      },
    }
    const messages = [{ topic: 'tasks', body: 'go' }]
    expect(await resultOf(send(async () => ({ reply: { status: 202 }, changes: [put('a#1', 0)], messages })))).toEqual([
      202,
      undefined,
    ])
    expect(transactions).toEqual([['a', 'idempotency']])
    expect((await deps.queue.receive('tasks', { max: 1, waitMs: 0 }))[0]?.body).toBe('go')
  })

  it('stays done when a message cannot be sent', async () => {
    const messages = [{ topic: 'nowhere', body: 'go' }]
    const work: Work = async () => ({ reply: { status: 202 }, changes: [put('a#1', 0)], messages })
    expect(await resultOf(send(work))).toEqual([202, undefined])
    expect((await deps.store.get({ project: 'p', id: 'a#1' }))?.version).toBe(1)
  })

  it('throws what the handler gives for a bound that does not hold, and replays it', async () => {
    const change: Change = { op: 'add', key: { project: 'p', id: 'n#1' }, field: 'n', by: 9, max: 5 }
    const onBound = async (index: number) => new Fault(413, `change ${index}`)
    const work: Work = async () => ({ reply: { status: 202 }, changes: [put('a#1'), change], onBound })
    expect(await resultOf(send(work))).toEqual([413, 'change 1'])
    expect(await resultOf(send(work))).toEqual([413, 'change 1'])
    expect(runs).toBe(1)
    expect(await deps.store.get({ project: 'p', id: 'a#1' })).toBeUndefined()
  })

  it('runs a request again when its first run failed internally without a change', async () => {
    const broken: Work = async () => {
      throw new Error('broken')
    }
    expect(await resultOf(send(broken))).toEqual(['broken', 'broken'])
    const silentAgent: Work = async () => {
      throw new Fault(504, 'no agent')
    }
    expect(await resultOf(send(silentAgent))).toEqual([504, 'no agent'])
    expect(await resultOf(send(async () => ({ reply: { status: 202, body: 'done' } })))).toEqual([202, 'done'])
    expect(await resultOf(send(broken))).toEqual([202, 'done'])
    expect(runs).toBe(3)
  })

  it('replays a failure that came after a change, and does nothing twice', async () => {
    const failAfterChange =
      (error: Error, id = 'a#1'): Work =>
      async () => ({ reply: { status: 202 }, changes: [put(id, 0)], afterCommit: () => Promise.reject(error) })
    expect(await resultOf(send(failAfterChange(new Fault(504, 'not yet'))))).toEqual([504, 'not yet'])
    expect(await resultOf(send(failAfterChange(new Fault(504, 'again'))))).toEqual([504, 'not yet'])
    expect(await resultOf(send(failAfterChange(new Error('broken'), 'a#2'), 'k2'))).toEqual(['broken', 'broken'])
    const unexpected = 'An unexpected error happened: req-1.'
    expect(await resultOf(send(failAfterChange(new Error('broken'), 'a#3'), 'k2'))).toEqual([500, unexpected])
    expect(runs).toBe(2)
    expect(await resultOf(send(failAfterChange(new StoreFull('full'), 'a#4'), 'k3'))).toEqual(['full', 'full'])
    expect(await resultOf(send(failAfterChange(new Error('broken'), 'a#5'), 'k3'))).toEqual([507, STORE_FULL])
  })

  it('runs the handler again, on fresh reads, when its change conflicts', async () => {
    const versions: (number | undefined)[] = []
    const rising: Work = async call => {
      const item = await store(call).get({ project: 'p', id: 'a#1' })
      versions.push(item?.version)
      if (versions.length === 1) await deps.store.transact([put('a#1')])
      return { reply: { status: 200, body: versions.length }, changes: [put('a#1', item?.version ?? 0)] }
    }
    expect(await resultOf(send(rising))).toEqual([200, 2])
    expect(await resultOf(send(rising))).toEqual([200, 2])
    expect(versions).toEqual([undefined, 1])
  })

  it('answers 409 to a repetition while the first request runs, and when its response was lost', async () => {
    let release = () => {}
    const released = new Promise<void>(resolve => {
      release = resolve
    })
    let changed = () => {}
    const change = new Promise<void>(resolve => {
      changed = resolve
    })
    const first = send(async () => ({
      reply: { status: 200 },
      changes: [put('a#1', 0)],
      async afterCommit() {
        changed()
        await released
        return { status: 202 }
      },
    }))
    await change
    const never: Work = async () => ({ reply: { status: 200 } })
    expect(await resultOf(send(never))).toEqual([409, expect.stringContaining('still being carried out')])
    alive = false
    expect(await resultOf(send(never))).toEqual([
      409,
      expect.stringContaining('(req-1) was accepted, but its response was lost'),
    ])
    alive = true
    await clock.advance(30_001)
    expect(await resultOf(send(never))).toEqual([409, expect.stringContaining('lost')])
    release()
    expect(await resultOf(first)).toEqual([202, undefined])
    expect(await resultOf(send(never))).toEqual([202, undefined])
    expect(runs).toBe(1)
  })

  it('executes one of two concurrent requests with a key, and gives both the same response', async () => {
    const both = [1, 2].map(number =>
      resultOf(send(async () => ({ reply: { status: 200, body: number }, changes: [put('a#1')] }))),
    )
    const answers = await Promise.all(both)
    expect(answers[0]).toEqual(answers[1])
    expect((await deps.store.get({ project: 'p', id: 'a#1' }))?.version).toBe(1)
  })

  it('applies keys to POST and PATCH only, since other methods can be repeated anyway', async () => {
    for (const method of ['POST', 'PATCH', 'DELETE'] as const) {
      runs = 0
      for (const status of [201, 202]) await send(async () => ({ reply: { status } }), method, method)
      expect([method, runs]).toEqual([method, method === 'DELETE' ? 2 : 1])
    }
  })
})
