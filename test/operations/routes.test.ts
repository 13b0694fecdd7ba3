import { expect, it } from '@jest/globals'
import { type Instance, instances } from '../../lib/instances/instance.ts'
import type { Call } from '../../lib/kit/http/route.ts'
import { type SagaRecord, sagas } from '../../lib/kit/saga/saga.ts'
import { routes } from '../../lib/operations/routes.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { silentLog } from '../kit/random.ts'
import { World } from '../sim/world.ts'

const ID = '00000000-0000-4000-8000-000000000001'
const NAME = 'restart' as const

/** Operations have random ids; here `n` is one that comes so far in their order. */
const idOf = (n: number) => `${String(n).padStart(8, '0')}-0000-4000-8000-000000000000`

const record = (n: number, started: number, status: SagaRecord['status'] = 'DONE'): SagaRecord => ({
  ...{ id: idOf(n), name: NAME, project: 'p1', instance: ID, requestId: 'r', request: {}, status },
  ...{ step: 0, entered: started, started, tries: 0, naps: 0 },
})

/** The ids that the route shows of an instance with these operations, in its order. */
async function shown(records: SagaRecord[], more: Partial<Instance> = {}): Promise<string[]> {
  const { platform } = await new World().open()
  const { store } = platform
  const times = { created: 0, updated: 0, generation: 1 }
  const made = { name: 'shop', flavor: '1', volume: { sizeGb: 1 }, task: 'REBOOTING' as const }
  const datastore = { type: 'd', manager: 'm', versionId: 'v', versionName: '1', version: '1' }
  await store.transact([instances.create('p1', ID, { id: ID, project: 'p1', ...times, ...made, datastore, ...more })])
  for (let from = 0; from < records.length; from += 100) {
    const part = records.slice(from, from + 100)
    await store.transact(part.map(body => sagas.create('p1', body.id, body, { instance: ID })))
  }
  const list = routes(() => undefined).find(({ path }) => path === '/instances/{id}/operations')
  const known = { project: 'p1', user: 'u1', admin: false, requestId: 'r', base: '', query: {}, body: undefined }
  const call: Call<unknown, Platform> = {
    ...known,
    deps: platform,
    method: 'GET',
    params: { id: ID },
    log: silentLog,
  }
  const reply = await list?.handle(call as Call<never, Platform>)
  return Object(reply?.body).operations.map(({ id }: { id: string }) => id)
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const at = (n: number) => 1_000_000 + n * 60_000

it('of more than are shown the latest are, the last one first', async () => {
  const ids = await shown(upTo(450).map(n => record(n, at(n))))
  expect(ids).toEqual(upTo(200).map(n => idOf(449 - n)))
})

it('the one under way is the first, wherever its id comes', async () => {
  for (const n of [0, 225, 449]) {
    const all = upTo(450).map(each => record(each, at(each)))
    const ids = await shown(all.with(n, record(n, at(450), 'RUNNING')), { operation: { id: idOf(n), name: NAME } })
    expect(ids[0]).toBe(idOf(n))
  }
})

it('what is at work is shown however long it has been', async () => {
  const all = [
    record(0, at(0), 'UNDOING'),
    record(1, at(1), 'RUNNING'),
    ...upTo(250).map(n => record(n + 2, at(n + 2))),
  ]
  const atWork = { operation: { id: idOf(1), name: NAME }, preempted: { id: idOf(0), name: NAME } }
  const ids = await shown(all, atWork)
  expect(ids.slice(-2)).toEqual([idOf(1), idOf(0)])
  expect(ids).toHaveLength(202)
  expect(new Set(ids).size).toBe(202)
})

it('few are shown once each', async () => {
  const all = upTo(3).map(n => record(n, at(n)))
  expect(await shown(all, { operation: { id: idOf(2), name: NAME } })).toEqual([2, 1, 0].map(idOf))
})
