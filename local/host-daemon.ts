import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AgentRuntime } from '../agent-bundle/runtime.ts'
import type { HostConfig } from '../host/config.ts'
import { hostReport } from '../host/reports.ts'
import { registerHost } from '../lib/conductor/hosts.ts'
import type { RootMode } from '../lib/contracts/guest/root.ts'
import type { HostAccess } from '../lib/contracts/host-access.ts'
import { DEFAULT_MANIFEST } from '../lib/datastores/manifests.ts'
import type { Log } from '../lib/kit/clock.ts'
import { replaceFile } from '../lib/kit/os/files.ts'
import { isAlive, processRef } from '../lib/kit/os/process.ts'
import type { Platform } from '../lib/platform/platform.ts'
import { systemClock } from '../lib/wiring/system.ts'
import { parseProcessRef, readTextIfExists } from './data-dir.ts'

const MAIN = join(import.meta.dirname, '..', 'host', 'main.ts')
const HAND_OVER_MS = 20_000
const STOP_MS = 60_000
/** Back-off between restarts of a daemon that keeps ending. */
const RESTART_MS = { first: 200, max: 10_000 }

interface HostDaemonOptions {
  dataDir: string
  /** The daemon's id, topic, keys and queue credentials. */
  hostAccess(): Promise<HostAccess>
  /** Where the host is recorded before it starts. */
  platform: Pick<Platform, 'store' | 'clock' | 'compute'>
  /** How much memory its instances may have together. */
  ramMb: number
  runtime: AgentRuntime
  /** How many initialised volumes of the default version it keeps for the next instances. */
  spares: number
  root: boolean
  /** What the root user of an instance is. */
  rootMode: RootMode
  log: Log
}

/** Takes over from a daemon that a dead control plane left, and starts a new one. */
export async function startHostDaemon(options: HostDaemonOptions): Promise<HostDaemon> {
  const { dataDir, log } = options
  await endPrevious(pidFileIn(dataDir), log)
  const config = await writeConfig(options)
  const report = hostReport(config)
  if (report) await registerHost(options.platform, config.hostId, report, { kid: config.kid })
  return new HostDaemon(options, await launch(dataDir), log)
}

/** Writes the daemon's configuration, with keys and credentials of the current master key. */
async function writeConfig(options: HostDaemonOptions): Promise<HostConfig> {
  const config: HostConfig = { ...hostConfig(options), ...(await options.hostAccess()) }
  // The daemon may read it at any moment.
  await replaceFile(configFileIn(options.dataDir), JSON.stringify(config))
  return config
}

/** The host daemon of a local cloud, restarted whenever it ends. */
export class HostDaemon {
  readonly #options: HostDaemonOptions
  readonly #dataDir: string
  readonly #log: Log
  #child: ChildProcess
  #stopping = false

  constructor(options: HostDaemonOptions, child: ChildProcess, log: Log) {
    this.#options = options
    this.#dataDir = options.dataDir
    this.#child = child
    this.#log = log
    void this.#restartWhenEnded()
  }

  async #restartWhenEnded(): Promise<void> {
    for (let wait = RESTART_MS.first; ; wait = Math.min(RESTART_MS.max, wait * 2)) {
      await waitForExit(this.#child)
      if (this.#stopping) return
      this.#log.error({}, 'the host daemon ended; it is started again')
      await systemClock.sleep(wait)
      if (this.#stopping) return
      try {
        this.#child = await launch(this.#dataDir)
      } catch (error) {
        this.#log.error({ error: String(error) }, 'the host daemon was not started')
      }
    }
  }

  /** Gives the daemon keys and credentials of the current master key: it reads them by itself. */
  async renewAccess(): Promise<void> {
    await writeConfig(this.#options)
  }

  /** Stops the daemon with all instances. */
  async stop(): Promise<void> {
    this.#stopping = true
    const child = this.#child
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await waitForExit(child)
    clearTimeout(timer)
    // A daemon that was killed has left its instances running.
    if (child.exitCode !== 0) await waitForExit(await launch(this.#dataDir, '--stop'))
    rmSync(pidFileIn(this.#dataDir), { force: true })
  }
}

const configFileIn = (dataDir: string) => join(dataDir, 'host.json')
const pidFileIn = (dataDir: string) => join(dataDir, 'host.pid')

function hostConfig({ dataDir, runtime, spares, root, rootMode, ramMb }: HostDaemonOptions) {
  const hash = createHash('sha256').update(dataDir).digest().readUInt32BE(0)
  return {
    dataDir,
    runtime,
    endpointFile: join(dataDir, 'endpoint'),
    spare: { manager: DEFAULT_MANIFEST.manager, version: DEFAULT_MANIFEST.defaultVersion, count: spares },
    // Several clouds on one machine: their uids and addresses hardly ever overlap.
    ...(root && { firstUid: 200_000 + (hash % 20_000) * 50_000 }),
    network: `127.${16 + (hash % 200)}`,
    ramMb,
    root: rootMode,
    logLevel: 'info',
  }
}

/** A daemon that outlived its control plane hands over: it ends, and its instances go on. */
async function endPrevious(pidFile: string, log: Log): Promise<void> {
  const previous = parseProcessRef(readTextIfExists(pidFile))
  if (!previous || !(await isAlive(previous))) return
  log.info({ pid: previous.pid }, 'taking over from an older host daemon')
  process.kill(previous.pid, 'SIGUSR2')
  const end = Date.now() + HAND_OVER_MS
  while (await isAlive(previous)) {
    if (Date.now() > end) process.kill(previous.pid, 'SIGKILL')
    await systemClock.sleep(20)
  }
}

async function launch(dataDir: string, ...flags: string[]): Promise<ChildProcess> {
  const out = openSync(join(dataDir, 'host.log'), 'a', 0o600)
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    NODE_COMPILE_CACHE: join(dataDir, 'cache'),
    MALLOC_ARENA_MAX: '1',
  }
  const args = ['--max-old-space-size=128', MAIN, configFileIn(dataDir), ...flags]
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', out, out], env })
  closeSync(out)
  const running = child.pid === undefined ? undefined : await processRef(child.pid)
  if (running) writeFileSync(pidFileIn(dataDir), JSON.stringify(running), { mode: 0o600 })
  return child
}

const waitForExit = (child: ChildProcess) =>
  new Promise<void>(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })
