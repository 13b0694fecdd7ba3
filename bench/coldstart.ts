import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { build } from 'esbuild'
import { proxyEvent } from '../local/gateway/events.ts'
import { Counts } from '../test/cost/counts.ts'
import { countingDynamodb } from '../test/cost/dynamodb.ts'
import type { Note } from './table.ts'

const RUNS = 10
const ROOT = join(import.meta.dirname, '..')
const CALLER = { user_id: 'u1', project_id: 'demo', roles: 'member' }

/** The program of a fresh process: it loads the function, calls it once, and prints how long each took. */
const DRIVER = `
const used = process.cpuUsage()
const start = performance.now()
const { handler } = await import('./api.mjs')
const loaded = performance.now()
const context = { functionName: 'api', awsRequestId: 'r', getRemainingTimeInMillis: () => 29_000 }
const { statusCode } = await handler(JSON.parse(process.argv[2]), context)
const end = performance.now()
const { user, system } = process.cpuUsage(used)
const cpu = (user + system) / 1_000
console.log('cold', JSON.stringify({ statusCode, load: loaded - start, total: end - start, cpu }))
process.exit(0)
`

/**
 * Loads the function `api` as it is deployed and calls it once, each time in a fresh process: `GET /`, which reads
 * nothing, and a list of flavors, for which the throttle counts the request in a table. The table is on this machine,
 * over HTTP without TLS. What AWS takes to start the process, fetch the code and answer is not measured.
 */
export async function benchColdStart(note: Note): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'coffer-cold-'))
  const table = await countingDynamodb(new Counts())
  try {
    await bundle(join(dir, 'api.mjs'))
    writeFileSync(join(dir, 'driver.mjs'), DRIVER)
    for (const [title, path, caller] of [
      ['GET /', '/', undefined],
      ['GET flavors', '/v1.0/demo/flavors', CALLER],
    ] as const) {
      const headers = { host: 'localhost', accept: 'application/json' }
      const incoming = { method: 'GET', path, search: '', headers, body: '', remote: '127.0.0.1' }
      const event = JSON.stringify(proxyEvent(incoming, caller))
      const times: ColdStart[] = []
      for (let run = 0; run < RUNS; run++) times.push(await runFresh(dir, event, table.endpoint))
      note(
        'load of api',
        times.map(({ load }) => load),
      )
      note(
        `load and first call of api, ${title}`,
        times.map(({ total }) => total),
      )
      note(
        'its CPU',
        times.map(({ cpu }) => cpu),
      )
    }
  } finally {
    await table.close()
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Milliseconds to load, to load and answer, and of CPU. */
interface ColdStart {
  load: number
  total: number
  cpu: number
}

/** Bundles as the deployment does. */
async function bundle(outfile: string): Promise<void> {
  const { outputFileExtension, exclude, outputWorkFolder, ...options } = createRequire(import.meta.url)(
    '../deploy/esbuild.cjs',
  )()
  mkdirSync(join(outfile, '..'), { recursive: true })
  await build({ ...options, absWorkingDir: ROOT, entryPoints: ['functions/aws/api.ts'], outfile, logLevel: 'error' })
}

async function runFresh(dir: string, event: string, endpoint: string): Promise<ColdStart> {
  const child = spawn(process.execPath, ['driver.mjs', event], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: 'x',
      AWS_SECRET_ACCESS_KEY: 'x',
      COFFER_STAGE: 'bench',
      COFFER_TABLE: 'coffer-bench',
      COFFER_QUEUES: 'coffer-bench',
      COFFER_MASTER_KEY: '/coffer/bench/master-key',
      COFFER_GUEST_ROLE: 'arn:aws:iam::000000000000:role/guest',
      COFFER_ACCOUNT: '000000000000',
      COFFER_URL: 'http://localhost',
      COFFER_RATE: '200',
      COFFER_LOG_LEVEL: 'warn',
    },
  })
  const output = await text(child.stdout)
  const { statusCode, ...times } = JSON.parse(/^cold (.*)$/m.exec(output)?.[1] ?? '{}')
  if (statusCode >= 300 || statusCode === undefined) throw new Error(`api answered ${statusCode}:\n${output}`)
  return times
}
