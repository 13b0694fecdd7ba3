import { describe, expect, it } from '@jest/globals'
import { upgradeProblem } from '../../../../lib/datastores/postgresql/rules/upgrades.ts'

describe('upgradeProblem', () => {
  it.each([
    ['18.3', '18.4', true],
    ['18.4', '18.4', true],
    ['18.4', '18.3', false],
    ['17.10', '18.4', false],
    ['17.9', '17.10', true],
    ['17.10', '17.9', false],
  ])('allows an upgrade from %s to %s: %j', (from, to, fine) => {
    expect(upgradeProblem(from, to) === undefined).toBe(fine)
  })
})
