import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, open, readdir, readFile, readlink, realpath, rename, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { kill } from 'node:process'
import type { MachineSide, ServerProcesses } from '../lib/datastores/machine.ts'
import type { Clock } from '../lib/kit/clock.ts'
import { replaceFile } from '../lib/kit/os/files.ts'
import { isAlive, type ProcessRef, processRef } from '../lib/kit/os/process.ts'
import { AGENT_FLAGS, type HostConfig } from './config.ts'
import { makeFolder } from './data-dir.ts'
import { engineFor } from './engines.ts'
import { logFile, type ServerState, serverDir, siteFile, volumeDir } from './state.ts'

/** What datastores do on a machine, by manager. */
export type Machines = Readonly<Record<string, MachineSide>>

/** What a manager's datastore does on a machine. Throws if this machine does not know it. */
export function machineOf(machines: Machines, manager: string): MachineSide {
  const machine = Object.hasOwn(machines, manager) ? machines[manager] : undefined
  if (!machine) throw new Error(`this host knows no datastore ${manager}`)
  return machine
}

/** Writes the configuration that an agent reads at its start. */
export async function writeAgentFiles(config: HostConfig, server: ServerState, userData: string): Promise<void> {
  const dir = await makeFolder(config.dataDir, ['servers', server.name], 0o700)
  const content = {
    userData: JSON.parse(userData),
    endpointFile: config.endpointFile,
    datastore: server.datastore,
    logLevel: config.logLevel,
  }
  const path = join(dir, 'config.json')
  await replaceFile(path, JSON.stringify(content))
  if (server.uid !== undefined) {
    await chown(path, server.uid, server.uid)
    await chown(dir, server.uid, server.uid)
  }
}

/**
 * Writes where the database lives and what it may use: beside the agent's folder, so that its uid can read it, not
 * change it.
 */
export async function writeSite(config: HostConfig, server: ServerState): Promise<void> {
  const { address, port, flavor, datastore, volume, name, uid } = server
  const engine = await engineFor(config, datastore)
  const site = { volume: volumeDir(config.dataDir, volume), engine, address, port, flavor, root: config.root }
  const draft = `${siteFile(config.dataDir, name)}.new`
  await replaceFile(draft, JSON.stringify(site))
  await chmod(draft, 0o640)
  if (uid !== undefined) await chown(draft, 0, uid)
  await rename(draft, siteFile(config.dataDir, name))
}

/** An agent mostly waits: an arena of memory for each of its threads would be wasted. */
const AGENT_ENV = { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '2' }

/** Starts an agent in a session of its own, so that it outlives this daemon. */
export async function startAgent(
  config: HostConfig,
  server: ServerState,
): Promise<{ agent: ProcessRef; child: ChildProcess }> {
  const dir = serverDir(config.dataDir, server.name)
  const log = await open(logFile(config.dataDir, server.name), 'a', 0o600)
  try {
    const owner = server.uid === undefined ? {} : { uid: server.uid, gid: server.uid }
    const args = [...AGENT_FLAGS, config.runtime.agent, dir]
    // AWS's SDK asks for a home directory, and a uid without a passwd entry has none.
    const env = {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      HOME: dir,
      ...AGENT_ENV,
      ...(await compileCache(config, server)),
    }
    const stdio: ['ignore', number, number] = ['ignore', log.fd, log.fd]
    const child = spawn(config.runtime.node, args, { ...owner, cwd: dir, detached: true, stdio, env })
    child.unref()
    await once(child, 'spawn')
    const agent = child.pid === undefined ? undefined : await processRef(child.pid)
    if (!agent) throw new Error('the agent ended at once')
    return { agent, child }
  } finally {
    await log.close()
  }
}

/**
 * Where the agent finds its program compiled already. Node uses a folder for each uid; they are all links to root's.
 */
async function compileCache({ runtime }: HostConfig, { uid }: ServerState): Promise<{ NODE_COMPILE_CACHE?: string }> {
  const { cache } = runtime
  if (cache === undefined) return {}
  if (uid !== undefined) {
    const compiled = (await readdir(cache).catch(() => [])).filter(entry => entry.endsWith('-0'))
    for (const entry of compiled) await symlink(entry, join(cache, entry.replace(/-0$/, `-${uid}`))).catch(() => {})
  }
  return { NODE_COMPILE_CACHE: cache }
}

/** The agent that runs in the server's folder, whoever started it (Linux only, else none). */
export async function agentIn({ dataDir }: HostConfig, { name, uid }: ServerState): Promise<ProcessRef | undefined> {
  const dir = await realpath(serverDir(dataDir, name)).catch(() => undefined)
  if (dir === undefined) return undefined
  const agents = await Promise.all(
    (await listPids()).map(async pid => {
      const folder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
      const isAgent = folder === dir && (uid === undefined || (await runsAs(pid, uid)))
      return isAgent ? processRef(Number(pid)) : undefined
    }),
  )
  return agents.find(agent => agent !== undefined)
}

/** How long an agent may take to stop its database and itself. */
const STOP_MS = 40_000

/** What ending a server takes: where it is, and how its datastore's processes are found. */
export interface StopParts {
  config: HostConfig
  machines: Machines
  clock: Clock
}

/** Asks the agent to stop its database and end; ends both by force if that takes too long. */
export async function stopServer(parts: StopParts, server: ServerState): Promise<void> {
  const { config, clock } = parts
  const agent = await agentOf(config, server)
  if (agent) {
    signal(agent.pid, 'SIGTERM')
    await waitForEnd(agent, STOP_MS, clock)
  }
  await stopEverything(parts, server)
}

/** Ends every process of the server at once. */
export async function stopEverything({ config, machines, clock }: StopParts, server: ServerState): Promise<void> {
  const agent = await agentOf(config, server)
  if (agent) signal(agent.pid, 'SIGKILL')
  const { processes, endSignal } = await databaseOf(config, machines, server)
  for (const { pid } of processes) signal(pid, endSignal)
  for (let tries = 0; tries < 100; tries++) {
    const remaining = await processesOf(config, machines, server)
    if (remaining.length === 0) return
    if (tries >= 20) for (const { pid } of remaining) signal(pid, 'SIGKILL')
    await clock.sleep(20)
  }
  throw new Error(`processes of ${server.name} do not end`)
}

/** The processes of a server's agent and database; if it has a uid of its own, every process of that uid. */
async function processesOf(config: HostConfig, machines: Machines, server: ServerState): Promise<ProcessRef[]> {
  const agent = await agentOf(config, server)
  const ofUid = server.uid === undefined ? [] : await processesOfUid(server.uid)
  const { processes } = await databaseOf(config, machines, server)
  return [...(agent ? [agent] : []), ...processes, ...ofUid]
}

/** The processes of a server's database. */
function databaseOf(config: HostConfig, machines: Machines, server: ServerState): Promise<ServerProcesses> {
  return machineOf(machines, server.datastore.manager).processesOf(volumeDir(config.dataDir, server.volume))
}

async function agentOf(config: HostConfig, server: ServerState): Promise<ProcessRef | undefined> {
  return server.agent && (await isAlive(server.agent)) ? server.agent : agentIn(config, server)
}

const listPids = async () => (await readdir('/proc').catch(() => [])).filter(name => /^\d+$/.test(name))

async function runsAs(pid: string, uid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return status.includes(`\nUid:\t${uid}\t`)
}

async function processesOfUid(uid: number): Promise<ProcessRef[]> {
  const processes = await Promise.all(
    (await listPids()).map(async pid => ((await runsAs(pid, uid)) ? processRef(Number(pid)) : undefined)),
  )
  return processes.filter(process => process !== undefined)
}

async function waitForEnd(agent: ProcessRef, ms: number, clock: Clock): Promise<void> {
  const end = clock.now() + ms
  while (clock.now() < end && (await isAlive(agent))) await clock.sleep(20)
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    kill(pid, name)
  } catch {
    // It has just ended by itself.
  }
}
