import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

const ROOT = join(import.meta.dirname, '..', '..')

/** A file that breaks the rule, and what it imports. */
const PLANTED: Record<string, [from: string, to: string]> = {
  'no-cycles': ['lib/kit/a.ts', 'lib/kit/b.ts'],
  'no-orphans': ['lib/kit/lonely.ts', ''],
  'lib-stays-inside': ['lib/instances/instance.ts', 'functions/api.ts'],
  'kit-knows-no-databases': ['lib/kit/c.ts', 'lib/users/user.ts'],
  'contracts-know-models-only': ['lib/contracts/guest.ts', 'lib/instances/view.ts'],
  'nouns-know-models-of-nouns': ['lib/users/create.ts', 'lib/instances/view.ts'],
  'verbs-never-import-verbs': ['lib/instances/create.ts', 'lib/instances/delete.ts'],
  'index-is-for-functions': ['lib/instances/show.ts', 'lib/instances/index.ts'],
  'backends-are-wired': ['lib/guests/guest.ts', 'lib/platform/store/sqlite.ts'],
  'aws-in-platform': ['lib/guests/enrol.ts', 'node_modules/@aws-sdk/client-sqs/index.js'],
  'control-plane-loads-no-driver': ['functions/api.ts', 'lib/datastores/postgresql/driver.ts'],
  'agent-sees-little': ['guest-agent/agent.ts', 'lib/instances/instance.ts'],
}

describe('import boundaries', () => {
  const tree = mkdtempSync(join(tmpdir(), 'coffer-boundaries-'))
  let output = ''
  beforeAll(() => {
    const imports = new Map<string, string[]>()
    const add = (file: string, to?: string) => imports.set(file, [...(imports.get(file) ?? []), ...(to ? [to] : [])])
    for (const [from, to] of Object.values(PLANTED)) {
      add(from, to)
      if (to) add(to)
    }
    add('lib/kit/b.ts', 'lib/kit/a.ts')
    for (const [file, targets] of imports) {
      mkdirSync(join(tree, dirname(file)), { recursive: true })
      writeFileSync(
        join(tree, file),
        [...targets.map((to, index) => line(file, to, index)), 'export const here = 1'].join('\n'),
      )
    }
    for (const file of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json'])
      copyFileSync(join(ROOT, file), join(tree, file))
    symlinkSync(join(ROOT, 'node_modules', 'dependency-cruiser'), join(tree, 'node_modules', 'dependency-cruiser'))
    const depcruise = join(ROOT, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruiser.mjs')
    const run = spawnSync(
      process.execPath,
      [depcruise, '--config', '.dependency-cruiser.cjs', 'lib', 'functions', 'guest-agent'],
      {
        cwd: tree,
        encoding: 'utf8',
        env: { ...process.env, NODE_OPTIONS: '' },
      },
    )
    output = run.stdout + run.stderr
  }, 60_000)
  afterAll(() => rmSync(tree, { recursive: true, force: true }))

  it.each(Object.keys(PLANTED))('%s: a planted violation is refused', rule => {
    const [from] = PLANTED[rule] ?? ['']
    expect(output).toContain(`error ${rule}: ${from}`)
  })
})

/** An import of one file in another; packages by their name. */
function line(from: string, to: string, index: number): string {
  const up = '../'.repeat(from.split('/').length - 1)
  const target = to.startsWith('node_modules/') ? to.replace(/^node_modules\/(@[^/]+\/[^/]+).*$/, '$1') : `${up}${to}`
  return `import { here as here${index} } from '${target}'\nexport const use${index} = here${index}`
}
