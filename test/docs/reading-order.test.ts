import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from '@jest/globals'
import type { ExecutedFiles } from './executed-files.ts'

const PAGE = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'architecture.md'), 'utf8')
const OPERATIONS = [
  { operation: 'create', limit: 20 },
  { operation: 'resize_flavor', limit: 14 },
] as const

let executed: Record<(typeof OPERATIONS)[number]['operation'], ExecutedFiles>

beforeAll(async () => {
  const script = join(import.meta.dirname, 'executed-files.ts')
  const options = { timeout: 60_000, env: { ...process.env, NODE_OPTIONS: '' } }
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', script],
    options,
  )
  executed = JSON.parse(stdout)
})

/** The files that the page lists for an operation, in backticks between its two comments. */
function listedFiles(operation: string): string[] {
  const [, ...sections] = PAGE.split(`<!-- files of ${operation} -->`)
  expect([operation, sections.length]).toEqual([operation, 1])
  const [section = '', ...rest] = (sections[0] ?? '').split('<!-- end -->')
  expect(rest).not.toEqual([])
  return [...section.matchAll(/`((?:lib|functions|guest-agent|host)\/[\w./-]+\.ts)`/g)].map(([, path = '']) => path)
}

describe.each(OPERATIONS)('docs/architecture.md, on $operation', ({ operation, limit }) => {
  it('lists exactly the files that run between the request and ACTIVE, each once', () => {
    expect(listedFiles(operation).sort()).toEqual(Object.keys(executed[operation]).sort())
  })

  it(`passes through at most ${limit} files`, () => {
    const files = Object.keys(executed[operation])
    expect(files.slice(limit)).toEqual([])
  })
})
