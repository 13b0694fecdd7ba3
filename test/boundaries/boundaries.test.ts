import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

const ROOT = join(import.meta.dirname, '..', '..')
const LADDER: string[][] = createRequire(import.meta.url)('../../scripts/ladder.cjs')
const FOLDERS = ['lib', 'functions', 'guest-agent', 'agent-bundle', 'host', 'local', 'localstack']

/** For each rule a file that breaks it, and what that imports. */
const PLANTED: Record<string, [from: string, to: string]> = {
  ...Object.fromEntries(LADDER.flatMap((rung, height) => rung.map(folder => upwards(folder, height)))),
  'lib-folders-are-on-the-ladder': ['lib/misc/helpers.ts', 'lib/kit/errors.ts'],
  'no-cycles': ['lib/kit/a.ts', 'lib/kit/b.ts'],
  'no-orphans': ['lib/kit/lonely.ts', ''],
  'verbs-never-import-verbs': ['lib/instances/verbs/upgrade.ts', 'lib/instances/verbs/rebuild.ts'],
  'steps-know-no-verbs': ['lib/instances/steps/operation.ts', 'lib/instances/verbs/create.ts'],
  'backends-are-wired': ['lib/agents/agent.ts', 'lib/platform/store/sqlite/store.ts'],
  'aws-in-platform': ['lib/conductor/enrol.ts', 'node_modules/@aws-sdk/client-sqs/index.js'],
  'control-plane-loads-no-driver': ['functions/api.ts', 'lib/datastores/drivers.ts'],
  'datastores-are-registered': ['host/daemon.ts', 'lib/datastores/postgresql/manifest.ts'],
  'datastores-are-apart': ['lib/datastores/valkey/driver.ts', 'lib/datastores/postgresql/driver.ts'],
  'memory-is-for-tests': ['lib/datastores/manifests.ts', 'lib/datastores/memory/manifest.ts'],
  'agent-sees-little': ['guest-agent/agent.ts', 'lib/model/instance.ts'],
}

/** A file of the folder that imports one of the next rung, or of a folder beside it. */
function upwards(folder: string, height: number): [string, [string, string]] {
  const [target = 'test'] = [...(LADDER[height + 1] ?? []), ...(LADDER[height] ?? [])].filter(name => name !== folder)
  return [`ladder-${folder.replace('/', '-')}`, [`${folder}/planted.ts`, `${target}/wiring.ts`]]
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
    mkdirSync(join(tree, 'scripts'), { recursive: true })
    for (const file of ['.dependency-cruiser.cjs', 'scripts/ladder.cjs', 'tsconfig.json', 'package.json']) {
      copyFileSync(join(ROOT, file), join(tree, file))
    }
    symlinkSync(join(ROOT, 'node_modules', 'dependency-cruiser'), join(tree, 'node_modules', 'dependency-cruiser'))
    const depcruise = join(ROOT, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruiser.mjs')
    const run = spawnSync(process.execPath, [depcruise, '--config', '.dependency-cruiser.cjs', ...FOLDERS], {
      cwd: tree,
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    output = run.stdout + run.stderr
  }, 60_000)
  afterAll(() => rmSync(tree, { recursive: true, force: true }))

  // Nothing stands above the top rung, and nothing beside it.
  const top = `ladder-${LADDER.at(-1)?.[0]}`

  it.each(Object.keys(PLANTED).filter(rule => rule !== top))('refuses a planted violation of %s', rule => {
    const [from] = PLANTED[rule] ?? ['']
    expect(output).toContain(`error ${rule}: ${from}`)
  })

  it('has a rule for every folder of lib/', () => {
    const folders = readdirSync(join(ROOT, 'lib')).map(name => `lib/${name}`)
    expect(folders.filter(folder => !LADDER.flat().includes(folder))).toEqual([])
  })
})

/** An import of one file in another; packages by their name. */
function line(from: string, to: string, index: number): string {
  const up = '../'.repeat(from.split('/').length - 1)
  const target = to.startsWith('node_modules/') ? to.replace(/^node_modules\/(@[^/]+\/[^/]+).*$/, '$1') : `${up}${to}`
  return `import { here as here${index} } from '${target}'\nexport const use${index} = here${index}`
}
