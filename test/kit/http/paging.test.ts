import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { pageBody, parsePageQuery, selfLinks } from '../../../lib/kit/http/paging.ts'

describe('paging', () => {
  it('caps the limit at 20', () => {
    expect(parsePageQuery({})).toEqual({ limit: 20 })
    expect(parsePageQuery({ limit: '7' })).toEqual({ limit: 7 })
    expect(parsePageQuery({ limit: '999999999' })).toEqual({ limit: 20 })
  })

  it('refuses a limit that is not a positive integer', () => {
    for (const limit of ['abc', '0', '00', '-1', '1.5', '', ' 1', '1e3', '0x10', '9999999999', '٣']) {
      expect(() => parsePageQuery({ limit })).toThrow(/limit must be/)
    }
  })

  it('ignores an empty marker, refuses one with a NUL and accepts all others', () => {
    expect(parsePageQuery({ marker: '' })).toEqual({ limit: 20 })
    expect(() => parsePageQuery({ marker: 'a\0' })).toThrow(/marker/)
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), marker => {
        expect(parsePageQuery({ marker })).toEqual({ limit: 20, marker })
      }),
    )
  })

  it('links to the next page for both kinds of clients, with the other query parameters', () => {
    const next = {
      url: 'http://h/v1.0/p/things',
      query: { marker: 'a', limit: '5', deleted: 'x&y' },
      limit: 2,
      marker: 'ann@%',
    }
    const href = 'http://h/v1.0/p/things?deleted=x%26y&limit=2&marker=ann%40%25'
    const links = [{ rel: 'next', href }]
    expect(pageBody('things', [1, 2], next)).toEqual({ things: [1, 2], links, things_links: links })
    expect(pageBody('things', [1], undefined)).toEqual({ things: [1] })
  })

  it('encodes any marker in the link', () => {
    const markers = fc.string({ unit: 'grapheme' }).filter(marker => marker.isWellFormed())
    fc.assert(
      fc.property(markers, marker => {
        const { links } = pageBody('x', [], { url: 'http://h/', query: {}, limit: 1, marker })
        const [{ href }] = links as [{ href: string }]
        expect(new URL(href).searchParams.get('marker')).toBe(marker)
      }),
    )
  })

  it('returns the two links of a resource', () => {
    expect(selfLinks('https://h', 'p', 'instances/1')).toEqual([
      { rel: 'self', href: 'https://h/v1.0/p/instances/1' },
      { rel: 'bookmark', href: 'https://h/instances/1' },
    ])
  })
})
