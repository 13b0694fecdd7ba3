import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { sqliteStore } from '../../../../lib/platform/store/sqlite/store.ts'
import { type Change, Conflict, type Key } from '../../../../lib/ports/store.ts'
import { virtualClock } from '../../../kit/virtual-clock.ts'

let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coffer-sync-'))
  path = join(directory, 'store.db')
})
afterEach(() => rm(directory, { recursive: true }))

const key = (id: string | number): Key => ({ project: 'demo', id: `a#${id}` })
const put = (id: string | number, was?: number): Change => ({
  op: 'put',
  key: key(id),
  body: {},
  ...(was !== undefined && { was }),
})
const turn = () => new Promise(resolve => setImmediate(resolve))

/** A store whose syncs end when the test says so. */
function heldStore() {
  const held: { end(): void; fail(error: Error): void }[] = []
  const sync = () => new Promise<void>((end, fail) => held.push({ end, fail }))
  return { store: sqliteStore(path, { clock: virtualClock(), sync }), held }
}

/** The name of each of these calls, once it has ended. */
function settled(calls: Record<string, Promise<unknown>>): string[] {
  const ended: string[] = []
  for (const [name, call] of Object.entries(calls)) {
    const note = () => ended.push(name)
    void call.then(note, note)
  }
  return ended
}

describe('a transaction of a file', () => {
  it('ends only after the sync that began after its commit', async () => {
    const { store, held } = heldStore()
    const ended = settled({ first: store.transact([put(1)]), second: store.transact([put(2)]) })
    await turn()
    expect([ended, held.length]).toEqual([[], 1])
    held[0]!.end()
    await turn()
    expect([ended, held.length]).toEqual([['first'], 2])
    held[1]!.end()
    await turn()
    expect(ended).toEqual(['first', 'second'])
    await store.close()
  })

  it('shares its sync with all that were committed while another ran', async () => {
    let syncs = 0
    const sync = async () => {
      syncs++
      await turn()
    }
    const store = sqliteStore(path, { clock: virtualClock(), sync })
    await Promise.all(Array.from({ length: 200 }, (_, index) => store.transact([put(index)])))
    expect(syncs).toBeGreaterThan(0)
    expect(syncs).toBeLessThanOrEqual(3)
    await store.close()
  })

  it('is on the disk when it ends: an image of what was synced has it', async () => {
    const image = join(directory, 'image.db')
    // A power loss leaves at least what the files had when the last sync began.
    const sync = async () => {
      await copyFile(path, image)
      await copyFile(`${path}-wal`, `${image}-wal`)
    }
    const store = sqliteStore(path, { clock: virtualClock(), sync })
    for (let id = 0; id < 20; id++) {
      await Promise.all([store.transact([put(`${id}-1`)]), store.transact([put(`${id}-2`)])])
      await copyFile(image, `${image}.${id}`)
      await copyFile(`${image}-wal`, `${image}.${id}-wal`)
      const afterwards = sqliteStore(`${image}.${id}`, { clock: virtualClock() })
      expect(await afterwards.list('demo', 'a', { limit: 99 })).toHaveLength((id + 1) * 2)
      await afterwards.close()
    }
    await store.close()
  })

  it('survives a kill -9 once it was acknowledged', async () => {
    const program = `
      const { sqliteStore } = await import(${JSON.stringify(
        join(import.meta.dirname, '../../../../lib/platform/store/sqlite/store.ts'),
      )})
      const clock = { now: () => 1, sleep: async () => {} }
      const store = sqliteStore(${JSON.stringify(path)}, { clock })
      for (let round = 0; ; round++) await Promise.all([1, 2, 3].map(async index => {
        const id = round + '-' + index
        await store.transact([{ op: 'put', key: { project: 'demo', id: 'a#' + id }, body: {} }])
        process.stdout.write(id + '\\n')
      }))`
    const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(child, 'exit')
    const acknowledged: string[] = []
    for await (const line of createInterface(child.stdout)) {
      acknowledged.push(line)
      if (acknowledged.length === 100) child.kill('SIGKILL')
    }
    await exited
    const store = sqliteStore(path, { clock: virtualClock() })
    for (const id of acknowledged) expect([id, await store.get(key(id))]).toEqual([id, expect.anything()])
    expect(acknowledged.length).toBeGreaterThanOrEqual(100)
    await store.close()
  })
})

describe('what is committed and not yet on the disk', () => {
  it('is told to nobody: a get of the record, each list and each refusal wait', async () => {
    const { store, held } = heldStore()
    const first = store.transact([put(1)])
    await turn()
    held[0]!.end()
    await first
    void store.transact([put(2)])
    const range = { limit: 9 }
    const waiting = {
      get: store.get(key(2)),
      list: store.list('demo', 'a', range),
      all: store.all('a', range),
      due: store.due(1, 9),
      ofSubject: store.ofSubject({ kind: 'instance', id: 'i' }, undefined, range),
      ofParent: store.ofParent({ kind: 'instance', id: 'i' }, undefined, range),
      conflict: store.transact([put(1, 7)]),
      check: store.check([put(2, 1)]),
    }
    const ended = settled(waiting)
    expect(await store.get(key(1))).toMatchObject({ version: 1 })
    expect(await store.get(key(3))).toBeUndefined()
    await turn()
    expect(ended).toEqual([])
    held[1]!.end()
    expect(await waiting.get).toMatchObject({ version: 1 })
    expect(await waiting.list).toHaveLength(2)
    await expect(waiting.conflict).rejects.toThrow(Conflict)
    await turn()
    expect(ended.toSorted()).toEqual(Object.keys(waiting).toSorted())
    await store.close()
  })

  it('is not told where its sync failed, and nothing is written any more', async () => {
    const { store, held } = heldStore()
    const first = store.transact([put(1)])
    await turn()
    held[0]!.end()
    await first
    const [lost, queued] = [store.transact([put(2)]), store.transact([put(3)])].map(call =>
      call.then(
        () => 'acknowledged',
        (error: Error) => error.message,
      ),
    )
    held[1]!.fail(new Error('EIO'))
    expect(await Promise.all([lost, queued])).toEqual([expect.stringContaining('EIO'), expect.stringContaining('EIO')])
    await expect(store.transact([put(4)])).rejects.toThrow('EIO')
    await expect(store.get(key(2))).rejects.toThrow('EIO')
    await expect(store.list('demo', 'a', { limit: 9 })).rejects.toThrow('EIO')
    expect(await store.get(key(1))).toMatchObject({ version: 1 })
    expect(await store.get(key(4))).toBeUndefined()
    expect(held).toHaveLength(2)
    await store.close()
  })
})

describe('a store in memory', () => {
  it('needs no sync', async () => {
    let syncs = 0
    const sync = async () => void syncs++
    const store = sqliteStore(':memory:', { clock: virtualClock(), sync })
    await store.transact([put(1)])
    expect(syncs).toBe(0)
    await store.close()
  })
})

describe('an eager view', () => {
  const range = { limit: 9 }

  it('reads and refuses at once, and is settled once the disk has what was read', async () => {
    const { store, held } = heldStore()
    const committed = store.transact([put(1)])
    const view = store.eager!()
    const lists = [
      view.store.list('demo', 'a', range),
      view.store.all('a', range).then(({ items }) => items),
      view.store.due(1, 9),
      view.store.ofSubject({ kind: 'instance', id: 'i' }, undefined, range),
      view.store.ofParent({ kind: 'instance', id: 'i' }, undefined, range),
    ]
    expect((await Promise.all(lists)).map(items => items.length)).toEqual([1, 1, 0, 0, 0])
    expect(await view.store.get(key(1))).toMatchObject({ version: 1 })
    await expect(view.store.transact([put(1, 7)])).rejects.toBeInstanceOf(Conflict)
    await expect(view.store.check([put(1, 7)])).rejects.toBeInstanceOf(Conflict)
    const ended = settled({ committed, view: view.settled(), other: store.eager!().settled() })
    await turn()
    expect(ended).toEqual(['other'])
    held[0]!.end()
    await turn()
    expect(ended.sort()).toEqual(['committed', 'other', 'view'])
    await store.close()
  })

  it('commits as the store does, and has then settled what it read before', async () => {
    const { store, held } = heldStore()
    void store.transact([put(1)])
    const view = store.eager!()
    await view.store.get(key(1))
    const ended = settled({ transact: view.store.transact([put(2)]) })
    held[0]!.end()
    await turn()
    expect(ended).toEqual([])
    held[1]!.end()
    await turn()
    expect(ended).toEqual(['transact'])
    await view.settled()
    await store.close()
  })

  it('is never settled where the sync failed', async () => {
    const { store, held } = heldStore()
    const committed = store.transact([put(1)])
    const view = store.eager!()
    await view.store.get(key(1))
    held[0]!.fail(new Error('the disk is broken'))
    await expect(committed).rejects.toThrow('could not be synced')
    await expect(view.settled()).rejects.toThrow('could not be synced')
    await store.close()
  })
})
