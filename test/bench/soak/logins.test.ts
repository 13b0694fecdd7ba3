import { describe, expect, it } from '@jest/globals'
import { newEntry, recordChange } from '../../../bench/soak/ledger.ts'
import { loginProblems, rowProblems, type Sql } from '../../../bench/soak/logins.ts'

const instance = { id: 'i' }

/** A database with these passwords and rows. */
const database =
  (passwords: Record<string, string>, stored: number[] = []): Sql =>
  async (_, { user, password }) => {
    if (passwords[user] !== password) throw new Error(`password authentication failed for user "${user}"`)
    return stored.map(id => ({ id }))
  }

function entryOf(passwords: Record<string, (string | undefined)[]>, outcome: 'done' | 'unknown' = 'done') {
  const entry = newEntry({ id: 'i', owner: 'demo', name: 'i', hasBase: true })
  for (const [user, list] of Object.entries(passwords)) {
    for (const password of list) recordChange(entry, user, { password, outcome })
  }
  return entry
}
const problemsOf = (sql: Sql, entry: ReturnType<typeof entryOf>) => loginProblems(sql, instance, entry, () => undefined)

describe('the users of a database', () => {
  it('can log in by their last password', async () => {
    const sql = database({ ann: 'second', root: 'r' })
    expect(await problemsOf(sql, entryOf({ ann: ['first', 'second'], root: ['r'] }))).toEqual([])
  })

  it('have a problem if the last password is refused', async () => {
    expect(await problemsOf(database({}), entryOf({ ann: ['first'] }))).toEqual(['ann of i cannot log in'])
  })

  it('have a problem if an old password is still accepted', async () => {
    expect(await problemsOf(database({ ann: 'first' }), entryOf({ ann: ['first', 'second'] }))).toEqual([
      'ann of i can log in by an old password',
      'ann of i cannot log in',
    ])
  })

  it('have a problem if they were deleted and can log in', async () => {
    expect(await problemsOf(database({ ann: 'first' }), entryOf({ ann: ['first', undefined] }))).toEqual([
      'ann of i can log in by an old password',
    ])
  })

  it('may have either password after a request without an answer', async () => {
    const entry = entryOf({ ann: ['first', 'second'] }, 'unknown')
    for (const password of ['first', 'second']) expect(await problemsOf(database({ ann: password }), entry)).toEqual([])
    expect(await problemsOf(database({}), entry)).toEqual([])
  })
})

describe('the rows of a database', () => {
  const writer = { name: 'writer', password: 'w' }
  const rows = new Set([1, 2])

  it('are all that were confirmed', async () => {
    const sql = database({ writer: 'w' }, [1, 2, 3])
    expect(await rowProblems(sql, instance, { writer, rows })).toEqual([])
  })

  it('have a problem if one is lost', async () => {
    const sql = database({ writer: 'w' }, [1])
    expect(await rowProblems(sql, instance, { writer, rows })).toEqual(['1 confirmed rows of i are lost'])
  })

  it('have a problem if they cannot be read', async () => {
    const problems = await rowProblems(database({}), instance, { writer, rows })
    expect(problems).toEqual([expect.stringContaining('the rows of i cannot be read: password')])
  })
})
