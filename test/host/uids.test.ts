import { describe, expect, it } from '@jest/globals'
import { freeUid, UIDS } from '../../host/uids.ts'

describe('the next uid', () => {
  const all = Array.from({ length: UIDS }, (_, index) => 1_000 + index)

  it('is the next free one, in rounds', () => {
    expect(freeUid(1_000, 999, new Set())).toBe(1_000)
    expect(freeUid(1_000, 1_000, new Set([1_001, 1_003]))).toBe(1_002)
    expect(freeUid(1_000, 50_999, new Set([1_000, 1_001]))).toBe(1_002)
    expect(freeUid(1_000, 1_500, new Set(all.filter(uid => uid !== 1_499)))).toBe(1_499)
  })

  it('does not exist when all are used', () => {
    expect(() => freeUid(1_000, 1_500, new Set(all))).toThrow('no free uid')
  })
})
