import { describe, expect, it } from '@jest/globals'
import { keystoneTimestamp, parseTimestamp } from '../../lib/keystone/timestamp.ts'
import { START } from './service.ts'

describe('timestamps', () => {
  it('are written with six fractional digits', () => {
    expect(keystoneTimestamp(START)).toBe('2026-01-01T00:00:00.000000Z')
    expect(keystoneTimestamp(START + 1)).toBe('2026-01-01T00:00:00.001000Z')
  })

  it.each<[string, number | undefined]>([
    ['2026-01-01T00:00:00Z', START],
    ['2026-01-01T00:00:00', START],
    ['2026-01-01T00:00', START],
    ['2026-01-01T00:00:00.000000', START],
    ['2026-01-01T00:00:00.5Z', START + 500],
    ['2026-01-01T02:00:00+02:00', START],
    ['2026-01-01', undefined],
    ['1 Jan 2026', undefined],
    ['2026-02-30T25:00:00Z', undefined],
    ['', undefined],
  ])('are parsed: %j is %s', (text, ms) => {
    expect(parseTimestamp(text)).toBe(ms)
  })
})
