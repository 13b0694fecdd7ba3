import { existsSync, globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from '@jest/globals'

const ROOT = join(import.meta.dirname, '..', '..')

/** Folders of tests about the whole, and of toys in the tests: they have no source of their own. */
const WHOLE = [
  'boundaries',
  'datastores/toy',
  'contracts',
  'cost',
  'deploy',
  'docs',
  'e2e',
  'laws',
  'localstack',
  'openapi',
  'platform/secrets/toy',
  'services',
]

/** The source that a test is about: `lib/x/y.ts` for `test/x/y.test.ts`, and for an aspect of it, `test/x/y-aspect.test.ts`. */
function sourceOf(test: string): string | undefined {
  const path = test.replace(/^test\//, '').replace(/\.test\.ts$/, '')
  const [name = '', ...parts] = [path.split('/').at(-1), ...path.split('/').slice(0, -1)]
  const words = name.split('-')
  const names = words.map((_, index) => words.slice(0, words.length - index).join('-'))
  const candidates = names.flatMap(base => [join('lib', ...parts, `${base}.ts`), join(...parts, `${base}.ts`)])
  return candidates.find(candidate => existsSync(join(ROOT, candidate)))
}

describe('unit tests', () => {
  const tests = globSync('test/**/*.test.ts', { cwd: ROOT }).filter(
    test => !WHOLE.some(folder => dirname(test).startsWith(join('test', folder))),
  )

  it('exist', () => {
    expect(tests.length).toBeGreaterThan(80)
  })

  it.each(tests)('%s stands where its source stands', test => {
    expect([test, sourceOf(test)]).toEqual([test, expect.any(String)])
  })
})
