import { describe, expect, it } from '@jest/globals'
import { STORE_FULL } from '../../lib/kit/errors.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { StoreFull } from '../../lib/ports/store.ts'
import { type ApiRequest, sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'

/** A world whose store says how much space its disk has, and a function that calls the API in it. */
async function setUp() {
  const disk = { isShort: true, freeBytes: 1_000 }
  let transact: (() => Promise<void>) | undefined
  const world = await new World(1, {
    store: clock => {
      const inner = sqliteStore(':memory:', { clock })
      return { ...inner, space: () => disk, transact: changes => transact?.() ?? inner.transact(changes) }
    },
  }).open()
  const call = async (method: string, path: string, request: Partial<ApiRequest> = {}) => {
    const response = await sendRequest(world, { method, path, ...request })
    return { status: response?.status, text: response?.text ?? '' }
  }
  const failWrites = () => {
    transact = async () => Promise.reject(new StoreFull('full'))
  }
  return { world, call, disk, failWrites }
}

const INSTANCE = { instance: { name: 'a', flavorRef: 1, volume: { size: 1 } } }
const fault = JSON.stringify({ insufficientStorage: { code: 507, message: STORE_FULL } })

describe('with a disk that is almost full', () => {
  it('changes are refused with 507, in JSON and XML; reads and deletes go on', async () => {
    const { call } = await setUp()
    for (const [method, path, body] of [
      ['POST', '/instances', INSTANCE],
      ['POST', '/instances?dry_run=true', INSTANCE],
      ['PUT', '/instances/x', { instance: { name: 'b' } }],
      ['PATCH', '/instances/x', { instance: { name: 'b' } }],
      ['POST', '/instances/x/databases', { databases: [{ name: 'b' }] }],
      ['POST', '/instances/x/action', { restart: {} }],
    ] as const) {
      expect([path, await call(method, path, { body })]).toEqual([path, { status: 507, text: fault }])
    }
    const xml = await call('POST', '/instances', { body: INSTANCE, headers: { accept: 'application/xml' } })
    expect([xml.status, xml.text]).toEqual([507, expect.stringMatching(/<insufficientStorage .*code="507"/)])
    expect((await call('GET', '/instances')).status).toBe(200)
    expect((await call('DELETE', '/instances/x')).status).toBe(404)
  })

  it('refusals leave no record, so that no flood of them takes the last space', async () => {
    const { world, call, disk } = await setUp()
    for (const [method, path] of [
      ['POST', '/instances'],
      ['POST', '/nowhere'],
      ['DELETE', '/instances/x'],
    ] as const) {
      await call(method, path, { body: {} })
    }
    expect((await world.store.all('audit', { limit: 10 })).items).toEqual([])
    disk.isShort = false
    await call('DELETE', '/instances/x')
    expect((await world.store.all('audit', { limit: 10 })).items).toHaveLength(1)
  })

  it('everything works again once there is space', async () => {
    const { call, disk } = await setUp()
    expect((await call('POST', '/instances', { body: INSTANCE })).status).toBe(507)
    disk.isShort = false
    expect((await call('POST', '/instances', { body: INSTANCE })).status).toBe(200)
  })

  it('a write for which there is no space is answered with 507', async () => {
    const { call, disk, failWrites } = await setUp()
    disk.isShort = false
    failWrites()
    expect(await call('POST', '/instances', { body: INSTANCE })).toEqual({ status: 507, text: fault })
  })
})
