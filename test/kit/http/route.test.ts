import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type Route, route, router, wholePath } from '../../../lib/kit/http/route.ts'

const make = (path: string, more: Partial<Route<unknown>> = {}): Route<unknown> => ({
  ...route({ method: 'GET', path, summary: path, answers: { status: 200 } }, async () => ({ status: 200 })),
  ...more,
})
const IN = '/v1.0/demo'
const find = router([
  make('/', { audience: 'anyone' }),
  make('/healthz', { audience: 'anyone' }),
  make('/things/{id}'),
  make('/things/detail'),
  make('/things/{id}/parts/{part}'),
  make('/things/{id}/parts', { suffix: true }),
  make('/things/{id}', { method: 'DELETE' }),
])
const found = (path: string, method = 'GET') => {
  const match = find(method, path)
  return match && [match.route.path, match.params]
}

describe('the router', () => {
  it('lets fixed segments win over variables, in whatever order they are written', () => {
    expect(found(`${IN}/things/detail`)).toEqual(['/things/detail', { project_id: 'demo' }])
    expect(found(`${IN}/things/details`)).toEqual(['/things/{id}', { project_id: 'demo', id: 'details' }])
  })

  it('decodes variables once, after the path was split', () => {
    expect(found(`${IN}/things/a%2Fb/parts/ann%40%25`)?.[1]).toEqual({ project_id: 'demo', id: 'a/b', part: 'ann@%' })
    expect(found(`${IN}/things/%252e`)?.[1]).toEqual({ project_id: 'demo', id: '%2e' })
    expect(found(`${IN}/things/%2e%2e`)?.[1]).toEqual({ project_id: 'demo', id: '..' })
  })

  it('takes any name as one encoded segment', () => {
    const names = fc.string({ unit: 'grapheme', minLength: 1 }).filter(name => name.isWellFormed())
    fc.assert(
      fc.property(names, name => {
        const segment = encodeURIComponent(name).replaceAll('.', '%2e')
        expect(found(`${IN}/things/1/parts/${segment}`)?.[1]).toEqual({ project_id: 'demo', id: '1', part: name })
      }),
    )
  })

  it('finds nothing for a segment that is empty or not well-formed', () => {
    for (const segment of ['', '%', '%zz', '%ff', '%ed%a0%80'])
      expect(found(`${IN}/things/${segment}/parts`)).toBeUndefined()
  })

  it('finds nothing for another method, another depth, or a part of a path', () => {
    expect(found(`${IN}/things/1`, 'DELETE')).toBeDefined()
    for (const method of ['HEAD', 'OPTIONS', 'PUT', 'get']) expect(found(`${IN}/things/1`, method)).toBeUndefined()
    for (const path of [
      '/things/1',
      `${IN}`,
      `${IN}/things`,
      `${IN}/things/1/2`,
      `//v1.0/demo/things/1`,
      '/v1%2e0/demo/things/1',
    ]) {
      expect(found(path)).toBeUndefined()
    }
  })

  it('serves what belongs to no project at its own path only', () => {
    expect(found('/healthz')).toEqual(['/healthz', {}])
    expect(found(`${IN}/healthz`)).toBeUndefined()
    expect(found(`${IN}/`)).toBeUndefined()
  })

  it('overlooks a slash at the end', () => {
    expect(found(`${IN}/things/1/`)?.[0]).toBe('/things/{id}')
    expect(found('/')?.[0]).toBe('/')
    expect(found('//')).toBeUndefined()
  })

  it('overlooks .json where a route says so, and nowhere else', () => {
    expect(found(`${IN}/things/1/parts.json`)?.[0]).toBe('/things/{id}/parts')
    expect(found(`${IN}/things/1.json`)?.[1]).toMatchObject({ id: '1.json' })
    expect(found(`${IN}/things/1/parts/ann.json`)?.[1]).toMatchObject({ part: 'ann.json' })
  })

  it('takes .xml off every route but those that end in a name', () => {
    const suffixOf = (path: string) => find('GET', path)?.suffix
    expect([found(`${IN}/things/detail.xml`)?.[0], suffixOf(`${IN}/things/detail.xml`)]).toEqual([
      '/things/detail',
      'xml',
    ])
    expect([found(`${IN}/things/1.xml`), suffixOf(`${IN}/things/1.xml`)]).toEqual([
      ['/things/{id}', { project_id: 'demo', id: '1' }],
      'xml',
    ])
    expect(suffixOf(`${IN}/things/1/parts.xml`)).toBe('xml')
    expect(suffixOf(`${IN}/things/1/parts.json`)).toBe('json')
    expect(suffixOf(`${IN}/things/1/parts`)).toBeUndefined()
    for (const end of ['ann.xml', 'ann.json', 'ann%2exml']) {
      expect(found(`${IN}/things/1/parts/${end}`)?.[1]).toMatchObject({ part: end.replace('%2e', '.') })
      expect(suffixOf(`${IN}/things/1/parts/${end}`)).toBeUndefined()
    }
    for (const path of ['/.xml', `${IN}/things/.xml`, `${IN}/.xml`]) expect(suffixOf(path)).toBeUndefined()
  })

  it('tells the whole path of a route', () => {
    expect(wholePath(make('/things'))).toBe('/v1.0/{project_id}/things')
    expect(wholePath(make('/', { audience: 'anyone' }))).toBe('/')
  })
})
