import { describe, expect, it } from '@jest/globals'
import { postgresqlManifest } from '../../../../lib/datastores/postgresql/manifest.ts'
import { findLocale } from '../../../../lib/datastores/postgresql/rules/locales.ts'

const { localeProblem } = postgresqlManifest.can.databases

describe('locales', () => {
  it.each([
    [undefined, undefined],
    ['utf8', undefined],
    ['UTF-8', 'C'],
    ['utf8mb4', 'en_US.UTF-8'],
    [undefined, 'de-AT-x-icu'],
    [undefined, 'PG_UNICODE_FAST'],
  ])('accepts %j with %j', (characterSet, collate) => {
    expect(localeProblem(characterSet, collate)).toBeUndefined()
  })

  it.each([
    ['latin1', undefined, 'latin1'],
    ['utf8', 'utf8_general_ci', 'utf8_general_ci'],
    [undefined, 'xx_YY', 'xx_YY'],
    [undefined, '', 'Collation'],
    [undefined, "C'; DROP", 'Collation'],
  ])('refuses %j with %j and names the problem', (characterSet, collate, word) => {
    expect(localeProblem(characterSet, collate)).toContain(word)
  })

  it.each([
    ['POSIX', 'builtin', 'C'],
    ['C.utf8', 'builtin', 'C.UTF-8'],
    ['pg_unicode_fast', 'builtin', 'PG_UNICODE_FAST'],
    ['sv_SE.utf8', 'icu', 'sv-SE'],
    ['sr_latn_rs', 'icu', 'sr-Latn-RS'],
    ['es-419', 'icu', 'es-419'],
  ])('%s is provided by %s as %s', (collate, provider, name) => {
    expect(findLocale(collate)).toEqual({ provider, name })
  })
})

describe('locales of a major version', () => {
  it.each([
    ['15.18', 'PG_UNICODE_FAST', false],
    ['17.10', 'pg_unicode_fast', false],
    ['18.3', 'PG_UNICODE_FAST', true],
    ['15.18', 'C.UTF-8', true],
    ['16.14', 'de_AT', true],
  ])('PostgreSQL %s offers the collation %s: %j', (version, collate, has) => {
    expect(localeProblem('utf8', collate, version) === undefined).toBe(has)
  })

  it('depend on it for their provider', () => {
    expect(findLocale('C', 16)).toEqual({ provider: 'libc', name: 'C' })
    expect(findLocale('C.UTF-8', 17)).toEqual({ provider: 'builtin', name: 'C.UTF-8' })
    expect(findLocale('sv', 15)).toEqual({ provider: 'icu', name: 'sv' })
  })
})
