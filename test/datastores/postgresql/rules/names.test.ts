import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { postgresqlManifest } from '../../../../lib/datastores/postgresql/manifest.ts'

const { nameProblem: databaseNameProblem } = postgresqlManifest.can.databases
const { nameProblem: userNameProblem } = postgresqlManifest.can.users

const anyCharacter = fc.constantFrom('a', '-', '"', '\\', '\n', 'ß', '€', '😀', '\0')

describe('names', () => {
  it('accepts exactly the names that PostgreSQL can store', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter, maxLength: 70 }), name => {
        const keeps = name !== '' && !name.includes('\0') && Buffer.byteLength(name) <= 63
        expect(databaseNameProblem(name) === undefined).toBe(keeps)
      }),
    )
  })

  it.each(['a', '-rf', ' ', '";--', "'", 'a\nb', '$$', '\\', `${'😀'.repeat(15)}abc`, 'Ünïcödé'])(
    'accepts %j',
    name => {
      expect(databaseNameProblem(name)).toBeUndefined()
      expect(userNameProblem(name)).toBeUndefined()
    },
  )

  it.each(['', 'a\0b', '\uD83D', '😀'.repeat(16), 'a'.repeat(64)])('refuses %j', name => {
    expect(databaseNameProblem(name)).toEqual(expect.any(String))
    expect(userNameProblem(name)).toEqual(expect.any(String))
  })

  it.each(['public', 'none'])('refuses %s as a user, which is a keyword of SQL', name => {
    expect(userNameProblem(name)).toEqual(expect.any(String))
    expect(databaseNameProblem(name)).toBeUndefined()
  })
})
