import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { prepareRuntime } from '../agent-bundle/runtime.ts'
import type { Log } from '../lib/kit/clock.ts'
import { wakeAll } from '../lib/taskmanager/scheduler.ts'
import { setPlatform } from '../lib/wiring/current.ts'
import { type SelfHosted, selfHosted } from '../lib/wiring/self-hosted.ts'
import { systemClock, systemLog } from '../lib/wiring/system.ts'
import { missingPasswords, writeAccounts } from './accounts.ts'
import { httpUrl, listen, listeningPort } from './address.ts'
import { superuserNote } from './banner.ts'
import { COMPONENTS, startConsumers } from './consumers.ts'
import { lock, prepareDataDir, writePublic } from './data-dir.ts'
import { type Gateway, gateway } from './gateway/gateway.ts'
import { gatewayLimits } from './gateway/limits.ts'
import { type HostDaemon, startHostDaemon } from './host-daemon.ts'
import { masterKeyState, watchMasterKeys } from './key-watch.ts'
import { runMain } from './run-main.ts'
import { readServeOptions, type ServeOptions, settingsOf } from './serve-options.ts'
import type { Shutdown } from './shutdown.ts'

/**
 * `npm run serve -- --only gateway|taskmanager|conductor|periodic|host`: one process of a control plane on your own
 * machines.
 */
const root = process.getuid?.() === 0

async function start(options: ServeOptions, shutdown: Shutdown): Promise<void> {
  const { only, quiet, rate, host, port, root: rootMode } = options
  const log = systemLog(only.join(','), quiet ? 'warn' : 'info', quiet ? 2 : 1)
  process.umask(0o022)
  await openDataDir(options)
  const { metricsOf, ...limits } = gatewayLimits(rate, systemClock)
  const cloud = await selfHosted({ settings: settingsOf(process.env), log, rate, metrics: limits.registry })
  setPlatform(cloud.platform)
  const firstKeys = await masterKeyState(cloud.platform.keys)
  let server: Gateway | undefined
  if (only.includes('gateway')) {
    const edge = { ...limits, metrics: metricsOf(cloud.platform) }
    server = await listen(host, port, () => gateway({ host, port, log, edge }))
    await writeClientFiles(options, cloud)
  }
  if (only.includes('host') && rootMode === 'superuser') console.log(superuserNote)
  const daemon = only.includes('host') ? await startHost(options, cloud, log) : undefined
  const watch = new AbortController()
  const watching = watchMasterKeys(cloud.platform, firstKeys, watch.signal, async () => {
    if (server) writePublic(join(options.dataDir, 'ca.pem'), await cloud.platform.authority.bundle())
    await daemon?.renewAccess()
  })
  const stopConsumers = startComponents(options, cloud)
  shutdown.ready(async () => {
    log.info({}, 'stopping')
    watch.abort()
    await watching
    await server?.close()
    await daemon?.stop()
    await stopConsumers()
    await cloud.close()
  })
  console.log(`ready ${server ? httpUrl(host, listeningPort(server.server, port)) : only.join(',')}`)
}

/** A host's data directory is locked; other parts only write a few files to theirs, if any. */
async function openDataDir({ only, dataDir }: ServeOptions): Promise<void> {
  if (!only.includes('host')) return void mkdirSync(dataDir, { recursive: true, mode: 0o711 })
  prepareDataDir(dataDir, root)
  process.on('exit', await lock(dataDir))
}

/** What clients need: the CA's certificate and the accounts. Several gateways may write them, all the same. */
async function writeClientFiles(
  { dataDir, newPasswords: renew }: ServeOptions,
  { platform, firstPassword }: SelfHosted,
): Promise<void> {
  writePublic(join(dataDir, 'ca.pem'), await platform.authority.bundle())
  if (!platform.identityService) return
  const accounts = { renew, firstPassword }
  const note = missingPasswords(
    await writeAccounts(dataDir, platform.identityService, platform.publicUrl ?? '', accounts),
  )
  if (note !== undefined) console.log(note)
}

/** Starts the components that consume from the queue; call the result to stop them. */
function startComponents({ only }: ServeOptions, { platform, processes }: SelfHosted): () => Promise<void> {
  const components = COMPONENTS.filter(component => only.includes(component))
  // Operations of a process that died go on as soon as it is known to be dead.
  if (components.includes('periodic')) processes.onEnd(() => wakeAll(platform))
  return startConsumers(platform, components)
}

async function startHost(
  { dataDir, spares, hostId, ramMb, root: rootMode }: ServeOptions,
  cloud: SelfHosted,
  log: Log,
): Promise<HostDaemon> {
  writePublic(join(dataDir, 'endpoint'), cloud.platform.enrolUrl())
  const runtime = await prepareRuntime(dataDir, root)
  const hostAccess = () => cloud.hostAccess(hostId)
  const { platform } = cloud
  const daemon = await startHostDaemon({ dataDir, hostAccess, platform, ramMb, runtime, spares, root, rootMode, log })
  // For an upgrade: only this process ends; the next one takes over the daemon and its instances.
  process.on('SIGUSR2', () => process.exit(0))
  return daemon
}

await runMain(async shutdown => {
  await start(readServeOptions(process.argv.slice(2), root, process.env['INIT_CWD'] ?? process.cwd()), shutdown)
})
