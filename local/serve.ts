import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ringAll } from '../functions/periodic.ts'
import type { Log } from '../lib/kit/clock.ts'
import { reason } from '../lib/kit/errors.ts'
import { BadKeyFile } from '../lib/platform/secrets/keyfile.ts'
import { NewerSchema } from '../lib/platform/store/store.ts'
import { wire } from '../lib/wiring/current.ts'
import { type Own, own } from '../lib/wiring/own.ts'
import { systemClock, systemLog } from '../lib/wiring/system.ts'
import { writeAccounts } from './accounts.ts'
import { consume, WORK } from './consumers.ts'
import { edge } from './edge.ts'
import { gateway } from './gateway.ts'
import { hostDaemon } from './host-daemon.ts'
import { Unfit } from './options.ts'
import { runtime } from './runtime.ts'
import { readServeOptions, type ServeOptions, settingsOf } from './serve-options.ts'
import { onSignals } from './shutdown.ts'
import { checkNode, codeOf, lock, prepareDataDir } from './surroundings.ts'

/** `npm run serve -- --only gateway|taskmanager|conductor|periodic|host`: one process of a control plane on your own machines. */
const isRoot = process.getuid?.() === 0
const shutdown = onSignals(error => fail(error))

/** What a part is ended with, in the order of ending. */
type End = () => Promise<void>

async function start(options: ServeOptions): Promise<void> {
  const { only, quiet, rate } = options
  const log = systemLog(only.join(','), quiet ? 'warn' : 'info', quiet ? 2 : 1)
  process.umask(0o022)
  const ends: End[] = []
  if (only.includes('host')) await prepareHost(options)
  else mkdirSync(options.dataDir, { recursive: true, mode: 0o711 })
  const edges = edge(rate, systemClock)
  const cloud = await own({ settings: settingsOf(process.env), log, rate, metrics: edges.registry })
  wire(cloud.platform)
  let told = only.join(',')
  if (only.includes('gateway')) {
    const { server, close } = await listening(options, log, { ...edges, metrics: edges.metricsOf(cloud.platform) })
    const at = server.address()
    told = `http://${options.host}:${typeof at === 'object' && at ? at.port : options.port}`
    ends.push(close)
    await writeFiles(options.dataDir, cloud)
  }
  if (only.includes('host')) ends.push(await hosting(options, cloud, log))
  ends.push(working(options, cloud))
  shutdown.ready(async () => {
    log.info({}, 'stopping')
    for (const end of ends) await end()
    await cloud.close()
  })
  console.log(`ready ${told}`)
}

async function listening({ host, port }: ServeOptions, log: Log, edges: Parameters<typeof gateway>[0]['edge']) {
  try {
    return await gateway({ host, port, log, edge: edges })
  } catch (error) {
    throw new Unfit(`port ${port} on ${host} cannot be used (${codeOf(error)}); choose another with --port`)
  }
}

/** Whoever writes them writes the same. */
async function writeFiles(dataDir: string, { platform, firstPassword }: Own): Promise<void> {
  const ca = join(dataDir, 'ca.pem')
  writeFileSync(ca, await platform.authority.bundle())
  chmodSync(ca, 0o644)
  if (platform.identityService)
    await writeAccounts(dataDir, platform.identityService, platform.publicUrl ?? '', firstPassword)
}

/** Consumes for the other parts, if there are any, until it is ended. */
function working({ only }: ServeOptions, { platform, boots }: Own): End {
  const stopping = new AbortController()
  const work = WORK.filter(part => only.includes(part))
  // What a process that died had under way goes on as soon as it is known to be dead.
  if (work.includes('periodic')) boots.onEnd(() => ringAll(platform))
  const consuming = consume(platform, stopping.signal, work)
  return async () => {
    stopping.abort()
    await consuming
  }
}

async function prepareHost({ dataDir }: ServeOptions): Promise<void> {
  prepareDataDir(dataDir, isRoot)
  process.on('exit', await lock(dataDir))
}

async function hosting({ dataDir }: ServeOptions, cloud: Own, log: Log): Promise<End> {
  const endpoint = join(dataDir, 'endpoint')
  writeFileSync(endpoint, cloud.platform.enrolUrl())
  chmodSync(endpoint, 0o644)
  const daemon = await hostDaemon(dataDir, cloud, await runtime(dataDir, isRoot), isRoot, log)
  // An upgrade: the daemon and its instances go on, and the next of us takes the daemon over.
  process.on('SIGUSR2', () => process.exit(0))
  return daemon.stop
}

/** One line, and a non-zero exit. */
function fail(error: unknown): never {
  const plain = error instanceof Unfit || error instanceof NewerSchema || error instanceof BadKeyFile
  process.stderr.write(`coffer: ${reason(error)}\n${plain || !(error instanceof Error) ? '' : `${error.stack}\n`}`)
  process.exit(1)
}

try {
  checkNode(process.versions.node)
  await start(readServeOptions(process.argv.slice(2), isRoot, process.env['INIT_CWD'] ?? process.cwd()))
} catch (error) {
  fail(error)
}
