import { describe, expect, it } from '@jest/globals'
import { commit, tryCommit } from '../../lib/kit/transaction.ts'
import { embeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { type Change, Conflict } from '../../lib/ports/store.ts'
import { seededRandom, silentLog } from './random.ts'
import { virtualClock } from './virtual-clock.ts'

const clock = virtualClock()
const counter = (id: string) => ({ project: '*', id: `counter#${id}` })
const add = (id: string, max: number): Change => ({ op: 'add', key: counter(id), field: 'used', by: 1, max })

function setUp() {
  const store = sqliteStore(':memory:', { clock })
  const queue = embeddedQueue({ clock, random: seededRandom(1) })
  const used = async (id: string) => Number(Object((await store.get(counter(id)))?.body).used ?? 0)
  return { store, queue, log: silentLog, used }
}

describe('a transaction whose bound is exceeded', () => {
  it('is refused with the error of onBound', async () => {
    const { store } = setUp()
    const onBound = async (index: number) => new Error(`no room for ${index}`)
    const transaction = { changes: [add('a', 1), add('b', 0)], messages: [], onBound }
    await expect(tryCommit(transaction, [], store.transact)).rejects.toThrow('no room for 1')
  })

  it('is a Conflict without onBound', async () => {
    const { store } = setUp()
    await expect(tryCommit({ changes: [add('a', 0)], messages: [] }, [], store.transact)).rejects.toThrow(Conflict)
  })

  it('is stale if onBound returns no error, and is decided anew', async () => {
    const { store, queue, log, used } = setUp()
    const stale = { changes: [add('a', 0)], messages: [], onBound: async () => undefined }
    expect(await tryCommit(stale, [], store.transact)).toBe('stale')
    const choices = ['a', 'b', 'c']
    await commit({ store, queue, log }, async () => {
      const id = choices.shift() ?? ''
      return { ...stale, changes: [add(id, id === 'c' ? 1 : 0)] }
    })
    expect([await used('a'), await used('b'), await used('c'), choices]).toEqual([0, 0, 1, []])
  })
})
