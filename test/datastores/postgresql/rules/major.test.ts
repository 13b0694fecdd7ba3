import { describe, expect, it } from '@jest/globals'
import { majorOf } from '../../../../lib/datastores/postgresql/rules/major.ts'

describe('majorOf', () => {
  it.each([
    ['18.4', 18],
    ['15\n', 15],
    ['initdb (PostgreSQL) 17.10\n', 17],
  ])('reads the major version from %j', (text, major) => {
    expect(majorOf(text)).toBe(major)
    expect(() => majorOf('PostgreSQL')).toThrow('no version')
  })
})
