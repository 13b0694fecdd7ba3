import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { build, type Metafile } from 'esbuild'
import { proxyEvent } from '../../local/gateway/events.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const ENTRIES = readdirSync(join(ROOT, 'functions', 'aws'))
const NAMES = ENTRIES.map(entry => basename(entry, '.ts'))
const ENV = {
  AWS_REGION: 'us-east-1',
  COFFER_STAGE: 'test',
  COFFER_TABLE: 'coffer-test',
  COFFER_QUEUES: 'coffer-test',
  COFFER_MASTER_KEY: '/coffer/test/master-key',
  COFFER_GUEST_ROLE: 'arn:aws:iam::000000000000:role/guest',
  COFFER_ACCOUNT: '000000000000',
  COFFER_URL: 'http://localhost',
  COFFER_RATE: '0',
  COFFER_LOG_LEVEL: 'warn',
}

let dir: string
let meta: Metafile

/** As `sls package` bundles them. */
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffer-bundles-'))
  const { outputFileExtension, exclude, outputWorkFolder, ...options } = createRequire(import.meta.url)(
    '../../deploy/esbuild.cjs',
  )()
  const entryPoints = ENTRIES.map(entry => join('functions', 'aws', entry))
  const out = { outdir: dir, outExtension: { '.js': outputFileExtension } }
  const settings = { ...options, ...out, absWorkingDir: ROOT, entryPoints, metafile: true, logLevel: 'error' }
  const { metafile } = await build(settings)
  if (!metafile) throw new Error('no metafile')
  meta = metafile
}, 60_000)
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** Runs a program beside the bundles in a fresh process; returns the JSON that it prints. */
function run(text: string): unknown {
  writeFileSync(join(dir, 'run.mjs'), text)
  const env = { PATH: process.env['PATH'], ...ENV }
  return JSON.parse(execFileSync(process.execPath, ['run.mjs'], { cwd: dir, env, encoding: 'utf8' }))
}

describe('the bundles of functions', () => {
  it('load without node_modules, and export a handler each', () => {
    const text = `
      const kinds = {}
      for (const name of ${JSON.stringify(NAMES)}) kinds[name] = typeof (await import('./' + name + '.mjs')).handler
      console.log(JSON.stringify(kinds))`
    expect(run(text)).toEqual(Object.fromEntries(NAMES.map(name => [name, 'function'])))
  })

  it('answer a request', () => {
    const incoming = { method: 'GET', path: '/', search: '', headers: { host: 'h' }, body: '', remote: '127.0.0.1' }
    const text = `
      const { handler } = await import('./api.mjs')
      const { body } = await handler(${JSON.stringify(proxyEvent(incoming, undefined))}, { getRemainingTimeInMillis: () => 9_000 })
      console.log(body)
      process.exit(0)`
    expect(run(text)).toMatchObject({ versions: [{ id: 'v1.0' }] })
  })

  it('import none of Node’s own modules, which would load everything that those export', () => {
    const imported = Object.values(meta.outputs).flatMap(({ imports }) =>
      imports.filter(({ kind }) => kind !== 'require-call'),
    )
    expect(imported).toEqual([])
  })
})
