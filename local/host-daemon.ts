import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HostConfig } from '../host/config.ts'
import { postgresql } from '../lib/datastores/postgresql/manifest.ts'
import type { Log } from '../lib/kit/clock.ts'
import { alive, runningAs } from '../lib/kit/process.ts'
import { HOST_ID } from '../lib/wiring/embedded.ts'
import { systemClock } from '../lib/wiring/system.ts'
import type { Runtime } from './runtime.ts'
import { parse, textOf } from './surroundings.ts'

const MAIN = join(import.meta.dirname, '..', 'host', 'main.ts')
const SPARES = 2
const HAND_OVER_MS = 20_000
const STOP_MS = 60_000
/** A daemon that keeps ending is started again at growing intervals. */
const AGAIN_MS = { first: 200, most: 10_000 }

/** The host daemon of the local cloud: taken over from a control plane that died, started, looked after, stopped. */
export interface HostDaemon {
  /** Stops the daemon with all instances. */
  stop(): Promise<void>
}

export async function hostDaemon(
  dataDir: string,
  cloud: { hostAccess(): Promise<Pick<HostConfig, 'topic' | 'conductor' | 'queue' | 'kid' | 'keys'>> },
  runtime: Runtime,
  root: boolean,
  log: Log,
): Promise<HostDaemon> {
  const configPath = join(dataDir, 'host.json')
  const pidPath = join(dataDir, 'host.pid')
  await endOlder(pidPath, log)
  const config: HostConfig = {
    hostId: HOST_ID,
    dataDir,
    ...(await cloud.hostAccess()),
    runtime,
    endpointFile: join(dataDir, 'endpoint'),
    spare: { manager: postgresql.manager, version: postgresql.defaultVersion, count: SPARES },
    ...(root && { firstUid: 200_000 + (hashOf(dataDir) % 20_000) * 50_000 }),
    network: `127.${16 + (hashOf(dataDir) % 200)}`,
    logLevel: 'info',
  }
  writeFileSync(configPath, JSON.stringify(config), { mode: 0o600 })
  let child = await launch(dataDir, configPath, pidPath)
  let stopping = false
  const watch = async () => {
    for (let wait = AGAIN_MS.first; ; wait = Math.min(AGAIN_MS.most, wait * 2)) {
      await exited(child)
      if (stopping) return
      log.error({}, 'the host daemon ended; it is started again')
      await systemClock.sleep(wait)
      if (stopping) return
      try {
        child = await launch(dataDir, configPath, pidPath)
      } catch (error) {
        log.error({ error: String(error) }, 'the host daemon was not started')
      }
    }
  }
  void watch()
  return {
    async stop() {
      stopping = true
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await exited(child)
      clearTimeout(timer)
      // One that was killed has left its instances running.
      if (child.exitCode !== 0) await exited(await launch(dataDir, configPath, pidPath, '--stop'))
      rmSync(pidPath, { force: true })
    },
  }
}

/** A daemon that outlived its control plane hands over; its instances go on. */
async function endOlder(pidPath: string, log: Log): Promise<void> {
  const older = parse(textOf(pidPath))
  if (!older || !(await alive(older))) return
  log.info({ pid: older.pid }, 'taking over from an older host daemon')
  process.kill(older.pid, 'SIGUSR2')
  const end = Date.now() + HAND_OVER_MS
  while (await alive(older)) {
    if (Date.now() > end) process.kill(older.pid, 'SIGKILL')
    await systemClock.sleep(20)
  }
}

async function launch(dataDir: string, configPath: string, pidPath: string, ...more: string[]): Promise<ChildProcess> {
  const out = openSync(join(dataDir, 'host.log'), 'a', 0o600)
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    NODE_COMPILE_CACHE: join(dataDir, 'cache'),
    MALLOC_ARENA_MAX: '1',
  }
  const child = spawn(process.execPath, ['--max-old-space-size=128', MAIN, configPath, ...more], {
    detached: true,
    stdio: ['ignore', out, out],
    env,
  })
  closeSync(out)
  const running = child.pid === undefined ? undefined : await runningAs(child.pid)
  if (running) writeFileSync(pidPath, JSON.stringify(running), { mode: 0o600 })
  return child
}

const exited = (child: ChildProcess) =>
  new Promise<void>(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })

const hashOf = (text: string) => createHash('sha256').update(text).digest().readUInt32BE(0)
