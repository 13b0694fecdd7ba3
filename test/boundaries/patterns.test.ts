import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

const ROOT = join(import.meta.dirname, '..', '..')
const PLANTED = {
  'linear.ts': 'export const word = /^[a-z]+$/',
  'quadratic.ts': 'export const name = /^.*[0-9a-zA-Z].*$/',
  'exponential.ts': 'export const isList = (text: string) => /^(a+)+$/.test(text)',
  'search.ts': "export const trim = (text: string): string => text.replace(/\\s+$/, '')",
  'header.ts': 'export const charset = /^\\s*charset\\s*=\\s*"?([^"\\s]*)"?\\s*$/',
}

describe('the lint of patterns', () => {
  const tree = mkdtempSync(join(tmpdir(), 'coffer-patterns-'))
  beforeAll(() => {
    mkdirSync(join(tree, 'lib'))
    mkdirSync(join(tree, 'functions'))
    for (const [file, text] of Object.entries(PLANTED)) writeFileSync(join(tree, 'lib', file), text)
    writeFileSync(join(tree, 'functions', 'built.ts'), 'export const from = (text: string) => new RegExp(text)')
  })
  afterAll(() => rmSync(tree, { recursive: true }))
  const lint = (folder: string) => {
    const args = ['--no-warnings', join(ROOT, 'scripts', 'patterns.ts'), folder]
    return spawnSync(process.execPath, args, { cwd: tree, encoding: 'utf8', timeout: 50_000 })
  }

  it('refuses each that is not linear, wherever it stands, and no other', () => {
    const { status, stderr } = lint('lib')
    const files = stderr.split('\n').map(line => /^lib\/(\w+\.ts): /.exec(line)?.[1])
    expect([status, files.filter(file => file).sort()]).toEqual([
      1,
      ['exponential.ts', 'header.ts', 'quadratic.ts', 'search.ts'],
    ])
  })

  it('refuses one that is built at run time', () => {
    const { status, stderr } = lint('functions')
    expect([status, stderr]).toEqual([1, expect.stringContaining('functions/built.ts: write a literal')])
  })
})
