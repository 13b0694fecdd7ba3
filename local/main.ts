import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ringAll } from '../functions/periodic.ts'
import type { Log } from '../lib/kit/clock.ts'
import { reason } from '../lib/kit/errors.ts'
import { serveQueue } from '../lib/platform/queue/socket-server.ts'
import { BadKeyFile } from '../lib/platform/secrets/keyfile.ts'
import { NewerSchema } from '../lib/platform/store/sqlite.ts'
import { wire } from '../lib/wiring/current.ts'
import { embedded } from '../lib/wiring/embedded.ts'
import { systemClock, systemLog } from '../lib/wiring/system.ts'
import { writeAccounts } from './accounts.ts'
import { consume } from './consumers.ts'
import { type Edge, edge } from './edge.ts'
import { type Gateway, gateway } from './gateway.ts'
import { hostDaemon } from './host-daemon.ts'
import { type Options, readOptions, Unfit } from './options.ts'
import { runtime } from './runtime.ts'
import { onSignals } from './shutdown.ts'
import { checkNode, codeOf, lock, prepareDataDir } from './surroundings.ts'
import { told } from './told.ts'

/** `npm start`: the cloud on one machine. */
const isRoot = process.getuid?.() === 0
const VANISHED_MS = 1_000
const shutdown = onSignals(error => fail(error))

async function start(options: Options): Promise<void> {
  const { dataDir, host, port, quiet } = options
  const log = systemLog('control', quiet ? 'warn' : 'info', quiet ? 2 : 1)
  process.umask(0o022)
  prepareDataDir(dataDir, isRoot)
  const unlock = await lock(dataDir)
  process.on('exit', unlock)
  const machine = await runtime(dataDir, isRoot)
  process.umask(0o077)
  let served: Gateway | undefined
  const url = () => `http://${address(host)}:${portOf(served, port)}`
  const edges = edge(options.rate, systemClock)
  const cloud = await embedded({
    dataDir,
    log,
    enrolUrl: () => `${localUrl(host, portOf(served, port))}/enrol`,
    publicUrl: process.env['PUBLIC_URL'],
    rate: options.rate,
    metrics: edges.registry,
  })
  wire(cloud.platform)
  served = await listen(options, log, { ...edges, metrics: edges.metricsOf(cloud.platform) })
  const endpoint = join(dataDir, 'endpoint')
  writeFileSync(endpoint, cloud.platform.enrolUrl())
  chmodSync(endpoint, 0o644)
  const socket = await serveQueue(cloud.platform.queue, {
    path: cloud.socket,
    admit: cloud.admit,
    clock: systemClock,
    log,
  })
  // The certificate that clients of databases trust is no secret.
  const ca = join(dataDir, 'ca.pem')
  writeFileSync(ca, await cloud.platform.authority.bundle())
  chmodSync(ca, 0o644)
  if (cloud.platform.identityService)
    await writeAccounts(dataDir, cloud.platform.identityService, localUrl(host, portOf(served, port)))
  const daemon = await hostDaemon(dataDir, cloud, machine, isRoot, log)
  const stopping = new AbortController()
  const consuming = consume(cloud.platform, stopping.signal)
  await ringAll(cloud.platform)

  shutdown.ready(async () => {
    log.info({}, 'stopping')
    await served?.close()
    await daemon.stop()
    stopping.abort()
    await consuming
    await socket.close()
    await cloud.platform.queue.close()
    await cloud.platform.store.close()
  })
  void watchLock(dataDir)
  if (!quiet) process.stdout.write(told({ url: url(), dataDir, socket: cloud.socket, rate: options.rate }))
  if (!isRoot && !quiet) console.log('note: without root all instances run as one user: no boundary between tenants')
  console.log(`ready ${url()}`)
}

async function listen({ host, port }: Options, log: Log, edges: Edge): Promise<Gateway> {
  try {
    return await gateway({ host, port, log, edge: edges })
  } catch (error) {
    const why = codeOf(error) === 'EADDRINUSE' ? 'is taken' : `cannot be used (${codeOf(error)})`
    throw new Unfit(`port ${port} on ${host} ${why}; choose another with --port`)
  }
}

function portOf(served: Gateway | undefined, asked: number): number {
  const at = served?.server.address()
  return typeof at === 'object' && at ? at.port : asked
}

const address = (host: string) => (host.includes(':') ? `[${host}]` : host)
/** Where this machine itself reaches the gateway. */
const localUrl = (host: string, port: number) =>
  `http://${host === '0.0.0.0' || host === '::' ? '127.0.0.1' : address(host)}:${port}`

/** Nobody can work in a data directory that was removed; agents and databases end by themselves. */
async function watchLock(dataDir: string): Promise<void> {
  while (!shutdown.asked) {
    await systemClock.sleep(VANISHED_MS)
    if (!existsSync(join(dataDir, 'lock'))) fail(new Unfit(`the data directory ${dataDir} was removed`))
  }
}

/** One line, and a non-zero exit. */
function fail(error: unknown): never {
  const plain = error instanceof Unfit || error instanceof NewerSchema || error instanceof BadKeyFile
  process.stderr.write(`coffer: ${reason(error)}\n${plain || !(error instanceof Error) ? '' : `${error.stack}\n`}`)
  process.exit(1)
}

try {
  checkNode(process.versions.node)
  await start(readOptions(process.argv.slice(2), isRoot, process.env['INIT_CWD'] ?? process.cwd()))
} catch (error) {
  fail(error)
}
