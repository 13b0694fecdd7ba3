import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'

describe('an answer of the API', () => {
  let dir: string
  let world: World
  /** While it is set, syncs of the store wait for it. */
  let disk: { promise: Promise<void>; resolve(): void; reject(error: Error): void } | undefined
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'coffer-durable-'))
    disk = undefined
    const sync = async () => disk?.promise
    world = await new World(1, { store: clock => sqliteStore(join(dir, 'store.db'), { clock, sync }) }).open()
  })
  afterEach(async () => {
    await world.store.close()
    rmSync(dir, { recursive: true })
  })

  const send = (method: string, path: string, body?: unknown) => {
    const answer = { status: 0 }
    const ended = sendRequest(world, { method, path, body }).then(response => {
      answer.status = response?.status ?? -1
    })
    return { answer, ended }
  }
  const turns = async () => {
    for (let turn = 0; turn < 50; turn++) await new Promise(resolve => setImmediate(resolve))
  }
  const INSTANCE = { instance: { name: 'a', flavorRef: 1, volume: { size: 1 } } }

  it('tells nothing that is not on the disk: a change, a list and a refusal wait', async () => {
    disk = Promise.withResolvers<void>()
    const create = send('POST', '/instances', INSTANCE)
    await turns()
    const requests = [create, send('GET', '/instances'), send('POST', '/instances', { instance: { name: 'b' } })]
    await turns()
    expect(requests.map(({ answer }) => answer.status)).toEqual([0, 0, 0])
    disk.resolve()
    await Promise.all(requests.map(({ ended }) => ended))
    expect(requests.map(({ answer }) => answer.status)).toEqual([200, 200, 400])
  })

  it('is 500 where the disk failed: what was read may be lost', async () => {
    disk = Promise.withResolvers<void>()
    const created = send('POST', '/instances', INSTANCE)
    await turns()
    const listed = send('GET', '/instances')
    await turns()
    disk.reject(new Error('the disk is broken'))
    await Promise.all([created.ended, listed.ended])
    expect([created.answer.status, listed.answer.status]).toEqual([500, 500])
  })
})
