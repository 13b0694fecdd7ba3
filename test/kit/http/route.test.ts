import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { fullPath, type Route, route, router } from '../../../lib/kit/http/route.ts'

const routeTo = (path: string, fields: Partial<Route<unknown>> = {}): Route<unknown> => ({
  ...route({ method: 'GET', path, summary: path, response: { status: 200 } }, async () => ({ status: 200 })),
  ...fields,
})
const IN = '/v1.0/demo'
const find = router([
  routeTo('/', { audience: 'anyone' }),
  routeTo('/healthz', { audience: 'anyone' }),
  routeTo('/things/{id}'),
  routeTo('/things/detail'),
  routeTo('/things/{id}/parts/{part}'),
  routeTo('/things/{id}/parts', { suffix: true }),
  routeTo('/things/{id}', { method: 'DELETE' }),
])
const matchOf = (path: string, method = 'GET') => {
  const match = find(method, path)
  return match && [match.route.path, match.params]
}

describe('the router', () => {
  it('prefers fixed segments to variables, in whatever order the routes are declared', () => {
    expect(matchOf(`${IN}/things/detail`)).toEqual(['/things/detail', { project_id: 'demo' }])
    expect(matchOf(`${IN}/things/details`)).toEqual(['/things/{id}', { project_id: 'demo', id: 'details' }])
  })

  it('decodes variables once, after splitting the path', () => {
    expect(matchOf(`${IN}/things/a%2Fb/parts/ann%40%25`)?.[1]).toEqual({ project_id: 'demo', id: 'a/b', part: 'ann@%' })
    expect(matchOf(`${IN}/things/%252e`)?.[1]).toEqual({ project_id: 'demo', id: '%2e' })
    expect(matchOf(`${IN}/things/%2e%2e`)?.[1]).toEqual({ project_id: 'demo', id: '..' })
  })

  it('accepts any name as one encoded segment', () => {
    const names = fc.string({ unit: 'grapheme', minLength: 1 }).filter(name => name.isWellFormed())
    fc.assert(
      fc.property(names, name => {
        const segment = encodeURIComponent(name).replaceAll('.', '%2e')
        expect(matchOf(`${IN}/things/1/parts/${segment}`)?.[1]).toEqual({ project_id: 'demo', id: '1', part: name })
      }),
    )
  })

  it('finds no route for an empty or malformed segment', () => {
    for (const segment of ['', '%', '%zz', '%ff', '%ed%a0%80'])
      expect(matchOf(`${IN}/things/${segment}/parts`)).toBeUndefined()
  })

  it('finds no route for another method, another depth, or a part of a path', () => {
    expect(matchOf(`${IN}/things/1`, 'DELETE')).toBeDefined()
    for (const method of ['HEAD', 'OPTIONS', 'PUT', 'get']) expect(matchOf(`${IN}/things/1`, method)).toBeUndefined()
    for (const path of [
      '/things/1',
      `${IN}`,
      `${IN}/things`,
      `${IN}/things/1/2`,
      `//v1.0/demo/things/1`,
      '/v1%2e0/demo/things/1',
    ]) {
      expect(matchOf(path)).toBeUndefined()
    }
  })

  it('matches routes outside of projects at their own path only', () => {
    expect(matchOf('/healthz')).toEqual(['/healthz', {}])
    expect(matchOf(`${IN}/healthz`)).toBeUndefined()
    expect(matchOf(`${IN}/`)).toBeUndefined()
  })

  it('ignores a trailing slash', () => {
    expect(matchOf(`${IN}/things/1/`)?.[0]).toBe('/things/{id}')
    expect(matchOf('/')?.[0]).toBe('/')
    expect(matchOf('//')).toBeUndefined()
  })

  it('ignores .json on the routes that allow it only', () => {
    expect(matchOf(`${IN}/things/1/parts.json`)?.[0]).toBe('/things/{id}/parts')
    expect(matchOf(`${IN}/things/1.json`)?.[1]).toMatchObject({ id: '1.json' })
    expect(matchOf(`${IN}/things/1/parts/ann.json`)?.[1]).toMatchObject({ part: 'ann.json' })
  })

  it('accepts .xml on every route that does not end in a name', () => {
    const suffixOf = (path: string) => find('GET', path)?.suffix
    expect([matchOf(`${IN}/things/detail.xml`)?.[0], suffixOf(`${IN}/things/detail.xml`)]).toEqual([
      '/things/detail',
      'xml',
    ])
    expect([matchOf(`${IN}/things/1.xml`), suffixOf(`${IN}/things/1.xml`)]).toEqual([
      ['/things/{id}', { project_id: 'demo', id: '1' }],
      'xml',
    ])
    expect(suffixOf(`${IN}/things/1/parts.xml`)).toBe('xml')
    expect(suffixOf(`${IN}/things/1/parts.json`)).toBe('json')
    expect(suffixOf(`${IN}/things/1/parts`)).toBeUndefined()
    for (const end of ['ann.xml', 'ann.json', 'ann%2exml']) {
      expect(matchOf(`${IN}/things/1/parts/${end}`)?.[1]).toMatchObject({ part: end.replace('%2e', '.') })
      expect(suffixOf(`${IN}/things/1/parts/${end}`)).toBeUndefined()
    }
    for (const path of ['/.xml', `${IN}/things/.xml`, `${IN}/.xml`]) expect(suffixOf(path)).toBeUndefined()
  })

  it('puts the path of a route after the project', () => {
    expect(fullPath(routeTo('/things'))).toBe('/v1.0/{project_id}/things')
    expect(fullPath(routeTo('/', { audience: 'anyone' }))).toBe('/')
  })
})
