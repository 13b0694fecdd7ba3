import { describe, expect, it } from '@jest/globals'
import { postgresqlManifest } from '../../lib/datastores/postgresql/manifest.ts'
import { Fault } from '../../lib/kit/errors.ts'
import { checkDatabases } from '../../lib/model/database.ts'
import { INVALID_NAMES, VALID_NAMES } from './names.ts'

const check = (...names: string[]) =>
  checkDatabases(
    postgresqlManifest.can.databases,
    names.map(name => ({ name })),
  )

describe('checkDatabases', () => {
  it('accepts every name that PostgreSQL accepts', () => {
    expect(check(...VALID_NAMES)).toEqual(VALID_NAMES.map(name => ({ name })))
  })

  it.each(INVALID_NAMES)('refuses the name %j', name => {
    expect(() => check(name)).toThrow(Fault)
  })

  it('refuses a name that is given twice', () => {
    expect(() => check('a', 'a')).toThrow(/twice/)
  })
})
