import { describe, expect, it } from '@jest/globals'
import { parseSubject, subjectText } from '../../../lib/platform/store/subject.ts'

describe("a subject's stored form", () => {
  it("is an instance's id alone, and names every other kind", () => {
    expect(subjectText({ kind: 'instance', id: 'i1' })).toBe('i1')
    expect(subjectText({ kind: 'backup', id: 'i1' })).toBe('backup/i1')
  })

  it.each([
    ['instance', 'i1'],
    ['instance', ''],
    ['instance', 'backup/1'],
    ['instance', '/'],
    ['backup', 'i1'],
    ['host_group', 'a/b'],
  ])('is read back as %s %s', (kind, id) => {
    expect(parseSubject(subjectText({ kind, id }))).toEqual({ kind, id })
  })
})
