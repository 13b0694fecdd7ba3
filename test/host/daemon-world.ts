import { randomBytes, randomUUID } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HostConfig } from '../../host/config.ts'
import { detectConfinement } from '../../host/confinement.ts'
import { Daemon } from '../../host/daemon.ts'
import { hostState, siteFile } from '../../host/state.ts'
import { MACHINES } from '../../lib/datastores/machines.ts'
import { MANIFESTS } from '../../lib/datastores/manifests.ts'
import type { MachineState } from '../../lib/ports/compute.ts'
import { silentLog } from '../kit/random.ts'
import { realClock } from '../kit/virtual-clock.ts'

/** A report of a daemon: of which part, and its state. */
export type Report = { method: string; name: string } & MachineState

/** A machine with a real daemon, whose agents and clusters are stand-ins. */
export interface DaemonWorld {
  config: HostConfig
  daemon: Daemon
  reports: Report[]
  /** Another daemon on the same directory, as after a restart; the one before is closed. */
  restart(): Promise<void>
  /** From now on agents end as soon as they are started. */
  breakAgents(): void
  /** The pid of the agent of a server, as the daemon remembers it. */
  agentOf(server: string): Promise<number | undefined>
  /** The files of volumes and servers. */
  files(): string[]
  /** The site file of a server's agent. */
  site(server: string): unknown
  remove(): Promise<void>
}

/** The requests for an instance's volume and server. */
export const datastore = { manager: 'postgresql', version: '18' }
export const part = (name: string) => ({ name, instance: 'i1', project: 'p1', generation: 1 })
export const volumeOf = (name: string) => ({ ...part(name), sizeGb: 1, datastore })
export const volume = volumeOf('volume-i1-1')
export const server = {
  ...part('server-i1-1'),
  volume: volume.name,
  flavor: { ramMb: 512, vcpus: 1 },
  datastore,
  userData: JSON.stringify({ instance: 'i1', generation: 1, secret: 's', enrolUrl: 'http://127.0.0.1/enrol' }),
}

export const random = { uuid: randomUUID, bytes: randomBytes }

/** Makes the files of a cluster by which it is recognized. */
const INITDB =
  '#!/bin/sh\n[ "$1" = --version ] && exec echo "initdb (PostgreSQL) 18.4"\nmkdir -p "$2" && echo 18 > "$2/PG_VERSION"\n'

export function hostConfig(changes: Partial<HostConfig> = {}): HostConfig {
  const dir = mkdtempSync(join(tmpdir(), 'coffer-host-'))
  chmodSync(dir, 0o755)
  const engine = join(dir, 'engine')
  mkdirSync(join(engine, 'bin'), { recursive: true })
  mkdirSync(join(dir, 'data'))
  writeFileSync(join(engine, 'bin', 'initdb'), INITDB, { mode: 0o755 })
  writeFileSync(
    join(dir, 'agent.mjs'),
    [
      "import { existsSync } from 'node:fs'",
      `if (!existsSync(${JSON.stringify(join(dir, 'broken'))})) setInterval(() => {}, 1_000)`,
    ].join('\n'),
  )
  return {
    hostId: 'test',
    dataDir: join(dir, 'data'),
    queue: { kind: 'socket', address: '', token: '' },
    topic: '',
    conductor: '',
    kid: '',
    keys: { down: '', up: '' },
    runtime: { node: process.execPath, agent: join(dir, 'agent.mjs'), engines: { postgresql: { '18': engine } } },
    endpointFile: join(dir, 'endpoint'),
    spare: { manager: 'postgresql', version: '18', count: 0 },
    network: `127.${150 + (process.pid % 50)}`,
    root: 'administrator',
    logLevel: 'error',
    ...changes,
  }
}

export async function daemonWorld(changes: Partial<HostConfig> = {}): Promise<DaemonWorld> {
  const config = hostConfig(changes)
  const reports: Report[] = []
  const confinement = await detectConfinement(config.firstUid)
  const boot = () =>
    new Daemon({
      config,
      confinement,
      manifests: MANIFESTS,
      machines: MACHINES,
      clock: realClock,
      random,
      log: silentLog,
      report: async (method, { name }, state) => void reports.push({ method, name, ...state }),
      ownership: async () => (existsSync(config.dataDir) ? 'held' : 'removed'),
      onEnd: () => {},
    })
  const namesIn = (folder: string) =>
    existsSync(join(config.dataDir, folder)) ? readdirSync(join(config.dataDir, folder)) : []
  const world: DaemonWorld = {
    config,
    daemon: boot(),
    reports,
    async restart() {
      await world.daemon.close()
      world.daemon = boot()
      await world.daemon.start()
    },
    breakAgents: () => writeFileSync(join(config.dataDir, '..', 'broken'), ''),
    agentOf: async server => (await hostState(config.dataDir).servers.get(server))?.agent?.pid,
    files: () => ['volumes', 'servers', 'state/volumes', 'state/servers'].flatMap(namesIn),
    site: server => JSON.parse(readFileSync(siteFile(config.dataDir, server), 'utf8')),
    async remove() {
      await world.daemon.stop()
      rmSync(join(config.dataDir, '..'), { recursive: true, force: true })
    },
  }
  await world.daemon.start()
  return world
}
