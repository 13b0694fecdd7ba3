import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { lchown, open, readdir, readlink, realpath, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { kill } from 'node:process'
import type { ServerProcesses } from '../lib/datastores/machine.ts'
import { type Clock, elapsedMs } from '../lib/kit/clock.ts'
import { removeAll, replaceFile } from '../lib/kit/os/files.ts'
import { isAlive, type ProcessRef, processRef } from '../lib/kit/os/process.ts'
import { AGENT_FLAGS, type HostConfig, PROGRAM_PATH } from './config.ts'
import { type Confinement, hiddenCommand } from './confinement.ts'
import { makeFolder } from './data-dir.ts'
import { endUid, listPids, runsAs } from './end-uid.ts'
import { engineFor } from './engines.ts'
import { removeInside } from './folders.ts'
import { type Machines, machineOf } from './machines.ts'
import {
  configFile,
  hostState,
  logFile,
  type ServerState,
  STOPPED_FILE,
  serverDir,
  siteFile,
  volumeDir,
} from './state.ts'

/** Writes the configuration that an agent reads at its start. */
export async function writeAgentFiles(config: HostConfig, server: ServerState, userData: string): Promise<void> {
  const dir = await makeFolder(config.dataDir, ['servers', server.name], 0o700)
  const content = {
    userData: JSON.parse(userData),
    endpointFile: config.endpointFile,
    datastore: server.datastore,
    logLevel: config.logLevel,
  }
  await writeReadable(configFile(config.dataDir, server.name), content, server)
  if (server.uid !== undefined) await lchown(dir, server.uid, server.uid)
}

/** Writes a file beside the agent's folder: its uid can read it, and neither change it nor put a link in its place. */
const writeReadable = (path: string, content: unknown, { uid }: ServerState) =>
  replaceFile(path, JSON.stringify(content), { mode: 0o640, ...(uid !== undefined && { owner: { uid: 0, gid: uid } }) })

/** Writes where the database lives and what it may use. */
export async function writeSite(config: HostConfig, server: ServerState, machines: Machines): Promise<void> {
  const { address, port, flavor, datastore, volume, name } = server
  const engine = await engineFor(config, datastore, machines)
  const sizeGb = (await hostState(config.dataDir).volumes.get(volume))?.sizeGb
  const place = { volume: volumeDir(config.dataDir, volume), address, port }
  const site = { ...place, engine, flavor, root: config.root, sizeGb }
  await writeReadable(siteFile(config.dataDir, name), site, server)
}

/** An agent mostly waits: an arena of memory for each of its threads would be wasted. */
const AGENT_ENV = { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '2' }

/** Waits for a line. There is none if the daemon died before: then the next one starts the agent. */
const GATE = 'read -r line && exec "$@" </dev/null'

/**
 * Starts an agent in a session of its own, so that it outlives this daemon. Nothing of it runs before `release`: a process
 * can only be bounded once it is there.
 */
export async function startAgent(
  config: HostConfig,
  server: ServerState,
  confinement: Confinement,
): Promise<{ agent: ProcessRef; child: ChildProcess; release(): void }> {
  const dir = serverDir(config.dataDir, server.name)
  const log = await open(logFile(config.dataDir, server.name), 'a', 0o600)
  try {
    const { program, args, ...owner } = agentCommand(config, server, confinement)
    // AWS's SDK asks for a home directory, and a uid without a passwd entry has none.
    const env = {
      PATH: PROGRAM_PATH,
      HOME: dir,
      ...AGENT_ENV,
      ...(await compileCache(config, server)),
    }
    const gated = ['-c', GATE, 'sh', program, ...args]
    const stdio: ['pipe', number, number] = ['pipe', log.fd, log.fd]
    const child = spawn('/bin/sh', gated, { ...owner, cwd: dir, detached: true, stdio, env })
    child.unref()
    child.stdin?.on('error', () => {}) // it has ended by itself
    await once(child, 'spawn')
    const agent = child.pid === undefined ? undefined : await processRef(child.pid)
    if (!agent) throw new Error('the agent ended at once')
    return { agent, child, release: () => void child.stdin?.end('\n') }
  } finally {
    await log.close()
  }
}

/** How the agent is started: as its uid, and seeing that uid's processes only where that is possible. */
function agentCommand({ dataDir, runtime }: HostConfig, { name, uid }: ServerState, { hides }: Confinement) {
  const args = [...AGENT_FLAGS, runtime.agent, serverDir(dataDir, name)]
  if (uid === undefined) return { program: runtime.node, args }
  return hides ? hiddenCommand(uid, runtime.node, args) : { program: runtime.node, args, uid, gid: uid }
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
  confinement: Confinement
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

/** How often it is looked whether a database has ended by itself, every 20 ms, before it is ended by force. */
const LOOKS = { byItself: 20, all: 100 }

/** Ends every process of the server at once; if it has a uid of its own, every process of that uid. */
export async function stopEverything(parts: StopParts, server: ServerState): Promise<void> {
  const { confinement, clock } = parts
  await endServer(parts, server)
  await confinement.end(server)
  if (server.uid !== undefined) await endUid(server.uid, clock)
  await confinement.release(server)
}

/** Ends agent and database. */
async function endServer({ config, machines, clock }: StopParts, server: ServerState): Promise<void> {
  const agent = await agentOf(config, server)
  if (agent) signal(agent.pid, 'SIGKILL')
  const { processes, endSignal } = await databaseOf(config, machines, server)
  for (const { pid } of processes) signal(pid, endSignal)
  for (let looks = 0; looks < LOOKS.all; looks++) {
    const remaining = await processesOf(config, machines, server)
    if (remaining.length === 0) return
    // A tenant's program may look like a server, and make others without end: its uid is ended as a whole.
    if (looks >= LOOKS.byItself && server.uid !== undefined) return
    if (looks >= LOOKS.byItself) for (const { pid } of remaining) signal(pid, 'SIGKILL')
    await clock.sleep(20)
  }
  throw new Error(`processes of ${server.name} do not end`)
}

/** The processes of a server's agent and database. */
async function processesOf(config: HostConfig, machines: Machines, server: ServerState): Promise<ProcessRef[]> {
  const agent = await agentOf(config, server)
  const { processes } = await databaseOf(config, machines, server)
  return [...(agent ? [agent] : []), ...processes]
}

/** The processes of a server's database. */
function databaseOf(config: HostConfig, machines: Machines, server: ServerState): Promise<ServerProcesses> {
  return machineOf(machines, server.datastore.manager).processesOf(volumeDir(config.dataDir, server.volume))
}

async function agentOf(config: HostConfig, server: ServerState): Promise<ProcessRef | undefined> {
  return server.agent && (await isAlive(server.agent)) ? server.agent : agentIn(config, server)
}

async function waitForEnd(agent: ProcessRef, ms: number, clock: Clock): Promise<void> {
  const start = clock.now()
  while (elapsedMs(clock.now(), start) < ms && (await isAlive(agent))) await clock.sleep(20)
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    kill(pid, name)
  } catch {
    // It has just ended by itself.
  }
}

/** A database that was stopped on purpose is to start with its server. */
export async function removeStopMark({ dataDir }: HostConfig, { name, uid }: ServerState): Promise<void> {
  const dir = serverDir(dataDir, name)
  await (uid === undefined ? removeAll(join(dir, STOPPED_FILE)) : removeInside(dir, uid, STOPPED_FILE))
}
