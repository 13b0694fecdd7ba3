import { join } from 'node:path'
import { type AgentRuntime, prepareRuntime } from '../agent-bundle/runtime.ts'
import { detectConfinement } from '../host/confinement.ts'
import type { Log } from '../lib/kit/clock.ts'
import { serveQueue } from '../lib/platform/queue/socket/server.ts'
import { wakeAll } from '../lib/taskmanager/scheduler.ts'
import { setPlatform } from '../lib/wiring/current.ts'
import { type EmbeddedCloud, embeddedCloud } from '../lib/wiring/embedded.ts'
import { systemClock, systemLog } from '../lib/wiring/system.ts'
import { missingPasswords, writeAccounts } from './accounts.ts'
import { httpUrl, listen, listeningPort, localUrl } from './address.ts'
import { startupBanner, superuserNote } from './banner.ts'
import { startConsumers } from './consumers.ts'
import { lock, prepareDataDir, writePublic } from './data-dir.ts'
import { type Gateway, gateway } from './gateway/gateway.ts'
import { gatewayLimits } from './gateway/limits.ts'
import { type HostDaemon, startHostDaemon } from './host-daemon.ts'
import { masterKeyState, watchMasterKeys } from './key-watch.ts'
import { type Options, readOptions } from './options.ts'
import { exitIfRemoved, runMain } from './run-main.ts'
import type { Shutdown } from './shutdown.ts'

/** `npm start`: the cloud on one machine. */
const root = process.getuid?.() === 0

async function start(options: Options, shutdown: Shutdown): Promise<void> {
  const { dataDir, host, quiet } = options
  const log = systemLog('control', quiet ? 'warn' : 'info', quiet ? 2 : 1)
  const hosts: LocalHost[] = []
  for (const place of hostPlaces(options)) hosts.push({ ...place, runtime: await openDataDir(place.dataDir) })
  const { cloud, server, port } = await startGateway(options, log)
  const { platform, socket: path, admit } = cloud
  const socket = await serveQueue(platform.queue, { path, admit, clock: systemClock, log })
  const firstKeys = await masterKeyState(platform.keys)
  await writeClientFiles(options, cloud, localUrl(host, port))
  const daemons = await Promise.all(hosts.map(place => startHost(place, options, cloud, log)))
  const watch = new AbortController()
  const watching = watchMasterKeys(platform, firstKeys, watch.signal, async () => {
    writePublic(join(dataDir, 'ca.pem'), await platform.authority.bundle())
    await Promise.all(daemons.map(daemon => daemon.renewAccess()))
  })
  const stopConsumers = startConsumers(platform)
  await wakeAll(platform)
  shutdown.ready(async () => {
    log.info({}, 'stopping')
    watch.abort()
    await watching
    await server.close()
    await Promise.all(daemons.map(daemon => daemon.stop()))
    await stopConsumers()
    await socket.close()
    await platform.queue.close()
    await platform.store.close()
  })
  void exitIfRemoved(dataDir, shutdown)
  await announce(options, cloud, httpUrl(host, port))
}

/** A host of this machine. */
interface LocalHost {
  id: string
  dataDir: string
  runtime: AgentRuntime
}

/** The first host has the cloud's data directory, each other one a directory of its own below it. */
function hostPlaces({ hostId, hosts, dataDir }: Options): Omit<LocalHost, 'runtime'>[] {
  const ids = Array.from({ length: hosts - 1 }, (_, index) => `${hostId}-${index + 2}`)
  return [{ id: hostId, dataDir }, ...ids.map(id => ({ id, dataDir: join(dataDir, 'hosts', id) }))]
}

function startHost(
  { id, dataDir, runtime }: LocalHost,
  { spares, ramMb, root: rootMode }: Options,
  { platform, hostAccess }: EmbeddedCloud,
  log: Log,
): Promise<HostDaemon> {
  writePublic(join(dataDir, 'endpoint'), platform.enrolUrl())
  const parts = { dataDir, hostAccess: () => hostAccess(id), platform, ramMb }
  return startHostDaemon({ ...parts, runtime, spares, root, rootMode, log })
}

/** Locks the data directory until this process ends, and puts there what instances run on. */
async function openDataDir(dataDir: string): Promise<AgentRuntime> {
  process.umask(0o022)
  prepareDataDir(dataDir, root)
  process.on('exit', await lock(dataDir))
  const runtime = await prepareRuntime(dataDir, root)
  // From here on everything is for this user, unless it is written as public.
  process.umask(0o077)
  return runtime
}

/** Wires the cloud and serves its API. The cloud asks for the gateway's port only after it listens. */
async function startGateway(
  { dataDir, host, port: requested, rate, hostId }: Options,
  log: Log,
): Promise<{ cloud: EmbeddedCloud; server: Gateway; port: number }> {
  let server: Gateway | undefined
  const port = () => listeningPort(server?.server, requested)
  const { metricsOf, ...limits } = gatewayLimits(rate, systemClock)
  const cloud = await embeddedCloud({
    dataDir,
    log,
    enrolUrl: () => `${localUrl(host, port())}/enrol`,
    publicUrl: process.env['PUBLIC_URL'],
    rate,
    metrics: limits.registry,
    onDiskWait: () => limits.fairQueue.leave(),
    hostId,
  })
  setPlatform(cloud.platform)
  const edge = { ...limits, metrics: metricsOf(cloud.platform) }
  server = await listen(host, requested, () => gateway({ host, port: requested, log, edge }))
  return { cloud, server, port: port() }
}

/** What clients need: the CA's certificate, which is public, and the accounts. */
async function writeClientFiles(options: Options, { platform }: EmbeddedCloud, url: string): Promise<void> {
  const { dataDir, newPasswords: renew, quiet } = options
  writePublic(join(dataDir, 'ca.pem'), await platform.authority.bundle())
  if (!platform.identityService) return
  const note = missingPasswords(await writeAccounts(dataDir, platform.identityService, url, { renew }))
  if (note !== undefined && !quiet) console.log(note)
}

async function announce(
  { dataDir, quiet, rate, root: rootMode }: Options,
  { socket }: EmbeddedCloud,
  url: string,
): Promise<void> {
  if (!quiet) {
    const { words: bounds } = await detectConfinement(root ? 0 : undefined)
    process.stdout.write(startupBanner({ url, dataDir, socket, rate, bounds }))
  }
  if (!root && !quiet) console.log('note: without root all instances run as one user: no boundary between tenants')
  if (rootMode === 'superuser') console.log(superuserNote)
  console.log(`ready ${url}`)
}

await runMain(async shutdown => {
  await start(readOptions(process.argv.slice(2), root, process.env['INIT_CWD'] ?? process.cwd()), shutdown)
})
