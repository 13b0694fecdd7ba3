import { describe, expect, it } from '@jest/globals'
import { FilterFault } from '../../../lib/kit/errors.ts'
import { parseXml } from '../../../lib/kit/xml/read.ts'

/** What a document of 100 KB may become: the largest request that the API accepts has fewer. */
const MAX_NODES = 8_000
const SIZE = 100_000

const countNodes = (value: unknown): number =>
  typeof value === 'object' && value !== null
    ? Object.values(value).reduce((sum: number, part) => sum + countNodes(part), 1)
    : 1

/** A document of 100 KB of one part, again and again. */
const flood = (part: (index: number) => string, open = '<a>', close = '</a>') => {
  const parts: string[] = []
  for (let size = 0, index = 0; size < SIZE; size += parts.at(-1)?.length ?? SIZE) parts.push(part(index++))
  return open + parts.join('') + close
}

const declarations = `<a ${Array.from({ length: 3_000 }, (_, index) => `xmlns:n${index}="x"`).join(' ')}`

describe('parseXml, given 100 KB', () => {
  it.each([
    ['of empty elements', flood(() => '<b/>')],
    ['of elements', flood(() => '<b></b>')],
    ['of elements with text', flood(() => '<b>1</b>')],
    ['of different elements', flood(index => `<b${index}/>`)],
    ['of attributes', flood(index => ` b${index}=""`, '<a', '/>')],
    ['of elements with attributes', flood(() => '<b c="" d=""/>')],
    ['of CDATA sections', flood(() => '<![CDATA[]]>')],
    ['of comments', flood(() => '<!---->')],
    ['of comments between texts', flood(() => 'x<!---->')],
    ['of namespaces', flood(index => ` xmlns:n${index}="x"`, '<a', '/>')],
    ['of namespaces in namespaces', `${declarations}>${'<b xmlns:q="r"/>'.repeat(2_000)}</a>`],
    ['of nested elements', flood(() => `${'<b>'.repeat(30)}${'</b>'.repeat(30)}`)],
  ])('%s, makes no more nodes than the largest request has', (_name, document) => {
    let nodes = 0
    try {
      nodes = countNodes(parseXml(document))
    } catch (error) {
      expect(error).toBeInstanceOf(FilterFault)
    }
    expect(nodes).toBeLessThanOrEqual(MAX_NODES)
  })

  it('of comments or sections refuses them by their number', () => {
    for (const part of ['<!---->', '<![CDATA[]]>']) expect(() => parseXml(flood(() => part))).toThrow('more than')
  })

  it('of namespaces refuses them before it copies them for each element', () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `xmlns:n${index}="x"`).join(' ')
    const document = `<a ${names}>${'<b xmlns:q="r"/>'.repeat(1_000)}</a>`
    expect(() => parseXml(document)).toThrow('namespaces')
  })

  it('reads 500 databases and 500 users, each with a database', () => {
    const database = (index: number) => `<database name="d${index}" character_set="utf8" collate="en_US"/>`
    const user = (index: number) =>
      `<user name="u${index}" password="p" host="%"><databases><database name="d${index}"/></databases></user>`
    const all = (part: (index: number) => string) => Array.from({ length: 500 }, (_, index) => part(index)).join('')
    const document = `<instance><databases>${all(database)}</databases><users>${all(user)}</users></instance>`
    expect(parseXml(document)).toMatchObject({ instance: { databases: { length: 500 }, users: { length: 500 } } })
  })
})
