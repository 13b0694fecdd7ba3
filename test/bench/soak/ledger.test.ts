import { describe, expect, it } from '@jest/globals'
import {
  type CommandStatus,
  Fleet,
  newEntry,
  possiblePasswords,
  recordChange,
  type UserChange,
} from '../../../bench/soak/ledger.ts'

const queued = (password: string | undefined, requestId: string): UserChange => ({
  password,
  outcome: 'queued',
  requestId,
})
const possible = (changes: UserChange[], statuses: Record<string, CommandStatus> = {}) => [
  ...possiblePasswords(changes, requestId => statuses[requestId]),
]

describe('the passwords that a user may have', () => {
  it('are none before anything was requested', () => {
    expect(possible([])).toEqual([undefined])
  })

  it('are the last one only whose command was done', () => {
    const changes = [queued('first', 'a'), queued('second', 'b')]
    expect(possible(changes, { a: 'done', b: 'done' })).toEqual(['second'])
  })

  it('are the old one too if the command failed, was cancelled or is not recorded', () => {
    const changes = [queued('first', 'a'), queued('second', 'b')]
    for (const status of ['failed', 'cancelled', undefined] as const) {
      expect(possible(changes, { a: 'done', b: status })).toEqual(['first', 'second'])
    }
  })

  it('are the old one too if there was no answer', () => {
    const done: UserChange = { password: 'first', outcome: 'done' }
    expect(possible([done, { password: 'second', outcome: 'unknown' }])).toEqual(['first', 'second'])
  })

  it('are none after a delete that was done', () => {
    expect(possible([queued('first', 'a'), queued(undefined, 'b')], { a: 'done', b: 'done' })).toEqual([undefined])
  })
})

describe('a fleet', () => {
  const entry = (id: string) => newEntry({ id, owner: 'demo', name: id, hasBase: true })

  it('has no more instances than allowed, those that are being created included', async () => {
    const fleet = new Fleet(2)
    const creates: string[] = []
    const create = (id: string) =>
      fleet.withRoom(async () => {
        creates.push(id)
        return entry(id)
      })
    await Promise.all(['a', 'b', 'c'].map(create))
    expect(creates).toEqual(['a', 'b'])
    for (const item of fleet.entries) item.isDeleted = true
    await create('d')
    expect(fleet.living.map(({ id }) => id)).toEqual(['d'])
  })

  it('has room again after a create that failed', async () => {
    const fleet = new Fleet(1)
    await expect(fleet.withRoom(() => Promise.reject(new Error('away')))).rejects.toThrow('away')
    await fleet.withRoom(async () => entry('a'))
    expect(fleet.living).toHaveLength(1)
  })

  it('remembers the changes of each user in their order', () => {
    const item = entry('a')
    recordChange(item, 'ann', queued('first', 'a'))
    recordChange(item, 'bob', queued('other', 'b'))
    recordChange(item, 'ann', queued('second', 'c'))
    expect(item.changes.get('ann')?.map(({ password }) => password)).toEqual(['first', 'second'])
  })
})
