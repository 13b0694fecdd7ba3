import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'

const ROOT = join(import.meta.dirname, '..', '..')
const PAGE = readFileSync(join(ROOT, 'docs', 'safety.md'), 'utf8')

/** A row of one of the page's tables: what it is about, and the tests that it names. */
interface Row {
  about: string
  tests: { file: string; name: string }[]
}

function rowsOf(page: string): Row[] {
  const lines = page.split('\n').filter(line => /^\| (?!attack|fault)/.test(line))
  return lines.map(line => {
    const [, about = '', , tests = ''] = line.split(' | ').flatMap((cell, at) => (at === 0 ? ['', cell] : [cell]))
    return { about: about.replace(/^\| /, ''), tests: tests.replace(/ \|$/, '').split('<br>').map(testOf) }
  })
}

function testOf(text: string): Row['tests'][number] {
  const [, file = '', name = ''] = /^`(test\/[\w/.-]+\.test\.ts)`: (.+)$/.exec(text) ?? []
  return { file, name }
}

/** The names of tests and groups in a file, as they are written there. */
function namesIn(file: string): string[] {
  if (!existsSync(join(ROOT, file))) return []
  const text = readFileSync(join(ROOT, file), 'utf8')
  // A name stands after `it(`, `it.each(…)(` or `describe(`, as one string; some are chosen by a condition.
  return [
    ...text.matchAll(/(?:'((?:[^'\\\n]|\\.)+)'|"((?:[^"\\\n]|\\.)+)")\s*(?:,|:)\s*(?:async\b|\(|\w+ =>|'|")/g),
  ].map(([, single, double]) => (single ?? double ?? '').replace(/\\(.)/g, '$1'))
}

const rows = rowsOf(PAGE)

describe('docs/safety.md', () => {
  it('has both tables', () => {
    expect(rows.length).toBeGreaterThan(25)
  })

  it('names tests that are there', () => {
    const missing = rows.flatMap(({ about, tests }) =>
      tests.filter(({ file, name }) => !namesIn(file).includes(name)).map(test => ({ about, ...test })),
    )
    expect(missing).toEqual([])
  })
})
