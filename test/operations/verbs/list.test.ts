import { describe, expect, it } from '@jest/globals'
import type { Call } from '../../../lib/kit/http/route.ts'
import { type SagaRecord, sagas } from '../../../lib/kit/saga/saga.ts'
import { type Instance, instanceSubject, instances } from '../../../lib/model/instance.ts'
import { routes } from '../../../lib/operations/routes.ts'
import type { Platform } from '../../../lib/platform/platform.ts'
import { silentLog } from '../../kit/random.ts'
import { World } from '../../sim/world.ts'

const ID = '00000000-0000-4000-8000-000000000001'
const NAME = 'restart' as const

/** The id that is number `n` in the order of ids. Real ids are random. */
const idOf = (n: number) => `${String(n).padStart(8, '0')}-0000-4000-8000-000000000000`

const record = (n: number, started: number, status: SagaRecord['status'] = 'DONE'): SagaRecord => ({
  ...{ id: idOf(n), name: NAME, project: 'p1', subject: instanceSubject(ID), requestId: 'r', request: {}, status },
  ...{ step: 0, stepEntered: started, started, tries: 0, waits: 0 },
})

/** The ids that the route lists for an instance with these operations, in order. */
async function listedIds(records: SagaRecord[], fields: Partial<Instance> = {}): Promise<string[]> {
  const { platform } = await new World().open()
  const { store } = platform
  const times = { created: 0, updated: 0, generation: 1 }
  const shop = { name: 'shop', flavor: '1', volume: { sizeGb: 1 } }
  const datastore = { type: 'd', manager: 'm', versionId: 'v', versionName: '1', version: '1' }
  await store.transact([instances.create('p1', ID, { id: ID, project: 'p1', ...times, ...shop, datastore, ...fields })])
  for (let from = 0; from < records.length; from += 100) {
    const part = records.slice(from, from + 100)
    await store.transact(part.map(body => sagas.create('p1', body.id, body, { subject: instanceSubject(ID) })))
  }
  const list = routes(() => undefined).find(({ path }) => path === '/instances/{id}/operations')
  const caller = { project: 'p1', user: 'u1', admin: false, requestId: 'r', baseUrl: '', query: {}, body: undefined }
  const call: Call<unknown, Platform> = {
    ...caller,
    deps: platform,
    method: 'GET',
    params: { id: ID },
    log: silentLog,
  }
  const reply = await list?.handle(call as Call<never, Platform>)
  return Object(Object(reply).body).operations.map(({ id }: { id: string }) => id)
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const startOf = (n: number) => 1_000_000 + n * 60_000

describe('listOperations', () => {
  it('lists the newest 200, the newest first', async () => {
    const ids = await listedIds(upTo(450).map(n => record(n, startOf(n))))
    expect(ids).toEqual(upTo(200).map(n => idOf(449 - n)))
  })

  it('lists the running operation first, wherever it is in the order of ids', async () => {
    for (const n of [0, 225, 449]) {
      const all = upTo(450).map(each => record(each, startOf(each)))
      const ids = await listedIds(all.with(n, record(n, startOf(450), 'RUNNING')), {
        operation: { id: idOf(n), name: NAME },
      })
      expect(ids[0]).toBe(idOf(n))
    }
  })

  it('lists the running operation and the one that it aborted, however old they are', async () => {
    const all = [
      record(0, startOf(0), 'UNDOING'),
      record(1, startOf(1), 'RUNNING'),
      ...upTo(250).map(n => record(n + 2, startOf(n + 2))),
    ]
    const running = { operation: { id: idOf(1), name: NAME }, abortedOperation: { id: idOf(0), name: NAME } }
    const ids = await listedIds(all, running)
    expect(ids.slice(-2)).toEqual([idOf(1), idOf(0)])
    expect(ids).toHaveLength(202)
    expect(new Set(ids).size).toBe(202)
  })

  it('lists each operation once', async () => {
    const all = upTo(3).map(n => record(n, startOf(n)))
    expect(await listedIds(all, { operation: { id: idOf(2), name: NAME } })).toEqual([2, 1, 0].map(idOf))
  })
})
