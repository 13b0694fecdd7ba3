import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { DiskReserve, isFullError } from '../../../../lib/platform/store/sqlite/reserve.ts'
import { sqliteStore } from '../../../../lib/platform/store/sqlite/store.ts'
import type { Change } from '../../../../lib/ports/store.ts'
import { virtualClock } from '../../../kit/virtual-clock.ts'

const MIB = 1 << 20
let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coffer-reserve-'))
  path = join(directory, 'store.db')
})
afterEach(() => rm(directory, { recursive: true }))

const put = (id: number, body: object = {}): Change => ({ op: 'put', key: { project: 'p', id: `a#${id}` }, body })
const sizeOf = async (name: string) => (await stat(name)).size

/** An open file with a reserve of 4 MiB, on a disk with as much space as `disk` says. */
function openReserve(disk: { freeBytes: number }) {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS things (body BLOB)')
  const clock = virtualClock()
  const reserve = new DiskReserve({ db, path, clock, bytes: 4 * MIB, freeBytes: () => disk.freeBytes })
  const fill = (mib: number) => db.exec(`INSERT INTO things VALUES (zeroblob(${mib * MIB}))`)
  const pages = () => Number((db.prepare('PRAGMA page_count').get() as { page_count: number }).page_count)
  return { db, reserve, clock, fill, pages }
}

/** What an error of a full file looks like. */
function errorOf(work: () => void): unknown {
  try {
    return void work()
  } catch (error) {
    return error
  }
}

describe('the reserve of a store', () => {
  it('is space in its own files: in the log, and in the database', async () => {
    const { db, reserve } = openReserve({ freeBytes: 1 << 30 })
    expect(await sizeOf(`${path}-wal`)).toBeGreaterThanOrEqual(4 * MIB)
    db.exec('PRAGMA wal_checkpoint(PASSIVE)')
    expect(await sizeOf(path)).toBeGreaterThanOrEqual(4 * MIB)
    expect(reserve.space()).toEqual({ freeBytes: 1 << 30, isShort: false })
    db.close()
  })

  it('is made once, however often the file is opened', async () => {
    openReserve({ freeBytes: 1 << 30 }).db.close()
    const size = await sizeOf(path)
    openReserve({ freeBytes: 1 << 30 }).db.close()
    expect(await sizeOf(path)).toBe(size)
  })

  it('is as large as the disk says, after the clock was set back too', () => {
    const disk = { freeBytes: 1 << 30 }
    const { db, reserve, clock } = openReserve(disk)
    expect(reserve.space().isShort).toBe(false)
    clock.setBack(86_400_000)
    disk.freeBytes = 60 * MIB
    expect(reserve.space()).toEqual({ freeBytes: 60 * MIB, isShort: true })
    db.close()
  })

  it('is given up when the disk gets short, and made again when there is room', async () => {
    const disk = { freeBytes: 1 << 30 }
    const { db, reserve, clock, fill, pages } = openReserve(disk)
    const before = pages()
    disk.freeBytes = 60 * MIB
    await clock.advance(1_000)
    expect(reserve.space()).toEqual({ freeBytes: 60 * MIB, isShort: true })
    reserve.adjust()
    // As if the file could not grow any more.
    db.exec(`PRAGMA max_page_count = ${before}`)
    fill(3)
    expect(isFullError(errorOf(() => fill(3)))).toBe(true)
    db.exec('PRAGMA max_page_count = 1000000; DELETE FROM things')
    // A little more than the bound is not enough: it would come and go with each request.
    disk.freeBytes = 70 * MIB
    await clock.advance(1_000)
    expect(reserve.space().isShort).toBe(true)
    disk.freeBytes = 1 << 30
    await clock.advance(1_000)
    expect(reserve.space().isShort).toBe(false)
    for (let call = 0; call < 4; call++) reserve.adjust()
    expect(db.prepare('SELECT count(*) AS rows FROM reserve').get()).toEqual({ rows: 4 })
    db.close()
  })

  it('lets a write succeed for which the file could not grow', () => {
    const { db, reserve, fill, pages } = openReserve({ freeBytes: 1 << 30 })
    db.exec(`PRAGMA max_page_count = ${pages()}`)
    expect(isFullError(errorOf(() => fill(1)))).toBe(true)
    reserve.withReserve(() => fill(1))
    expect(db.prepare('SELECT count(*) AS rows FROM things').get()).toEqual({ rows: 1 })
    db.close()
  })

  it('fails a write that it cannot help, as the disk did, and knows that it is short', () => {
    const { db, reserve, fill, pages } = openReserve({ freeBytes: 1 << 30 })
    db.exec(`PRAGMA max_page_count = ${pages()}`)
    expect(isFullError(errorOf(() => reserve.withReserve(() => fill(20))))).toBe(true)
    expect(reserve.space().isShort).toBe(true)
    db.close()
  })

  it('changes no error of another kind', () => {
    const { db, reserve } = openReserve({ freeBytes: 1 << 30 })
    const other = new Error('other')
    expect(() =>
      reserve.withReserve(() => {
        throw other
      }),
    ).toThrow(other)
    expect(isFullError(other)).toBe(false)
    db.close()
  })
})

describe('a store with a reserve', () => {
  it('tells its space, and has its records after it was closed on a full disk', async () => {
    const disk = { freeBytes: 1 << 30 }
    const options = { clock: virtualClock(), reserve: { bytes: 4 * MIB, freeBytes: () => disk.freeBytes } }
    const store = sqliteStore(path, options)
    for (let id = 0; id < 10; id++) await store.transact([put(id)])
    expect(store.space?.()).toEqual({ freeBytes: 1 << 30, isShort: false })
    disk.freeBytes = 0
    await options.clock.advance(1_000)
    expect(store.space?.()).toEqual({ freeBytes: 0, isShort: true })
    for (let id = 10; id < 20; id++) await store.transact([put(id)])
    await store.close()
    // The log stays: a start on the full disk could not make it.
    expect(await sizeOf(`${path}-wal`)).toBeGreaterThanOrEqual(4 * MIB)
    const next = sqliteStore(path, options)
    expect(await next.list('p', 'a', { limit: 100 })).toHaveLength(20)
    await next.close()
  })
})
