import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, open, readdir, readFile, readlink, realpath, rename, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { kill } from 'node:process'
import { serversIn } from '../lib/datastores/postgresql/process.ts'
import type { Clock } from '../lib/kit/clock.ts'
import { writeAtomically } from '../lib/kit/files.ts'
import { alive, type Running, runningAs } from '../lib/kit/process.ts'
import { AGENT_FLAGS, type HostConfig } from './config.ts'
import { engineFor } from './engines.ts'
import { logFile, type ServerState, serverDir, siteFile, volumeDir } from './state.ts'

/** Writes what an agent reads at its start. */
export async function writeAgentFiles(config: HostConfig, server: ServerState, userData: string): Promise<void> {
  const dir = serverDir(config.dataDir, server.name)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const content = {
    userData: JSON.parse(userData),
    endpointFile: config.endpointFile,
    datastore: server.datastore,
    logLevel: config.logLevel,
  }
  const path = join(dir, 'config.json')
  await writeAtomically(path, JSON.stringify(content))
  if (server.uid !== undefined) {
    await chown(path, server.uid, server.uid)
    await chown(dir, server.uid, server.uid)
  }
}

/** Writes what the server is to its agent: outside of its folder, so that the instance's uid can read it, and not change it. */
export async function writeSite(config: HostConfig, server: ServerState): Promise<void> {
  const { address, port, flavor, datastore, volume, name, uid } = server
  const engine = await engineFor(config, datastore)
  const site = { volume: volumeDir(config.dataDir, volume), engine, address, port, flavor }
  const draft = `${siteFile(config.dataDir, name)}.new`
  await writeAtomically(draft, JSON.stringify(site))
  await chmod(draft, 0o640)
  if (uid !== undefined) await chown(draft, 0, uid)
  await rename(draft, siteFile(config.dataDir, name))
}

/** Memory that an agent, which mostly waits, would keep for nothing: an arena for each of its threads. */
const SPARING = { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '2' }

/** Starts an agent in a session of its own, so that it outlives this daemon. */
export async function startAgent(
  config: HostConfig,
  server: ServerState,
): Promise<{ running: Running; child: ChildProcess }> {
  const dir = serverDir(config.dataDir, server.name)
  const log = await open(logFile(config.dataDir, server.name), 'a', 0o600)
  try {
    const owner = server.uid === undefined ? {} : { uid: server.uid, gid: server.uid }
    const args = [...AGENT_FLAGS, config.runtime.agent, dir]
    // AWS's SDK asks for a home, which a uid without an entry in passwd has not.
    const env = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: dir, ...SPARING, ...(await compileCache(config, server)) }
    const stdio: ['ignore', number, number] = ['ignore', log.fd, log.fd]
    const child = spawn(config.runtime.node, args, { ...owner, cwd: dir, detached: true, stdio, env })
    child.unref()
    await once(child, 'spawn')
    const running = child.pid === undefined ? undefined : await runningAs(child.pid)
    if (!running) throw new Error('the agent ended at once')
    return { running, child }
  } finally {
    await log.close()
  }
}

/** Where the agent finds its program compiled already: Node keeps a folder for each uid, all of them are links to one. */
async function compileCache({ runtime }: HostConfig, { uid }: ServerState): Promise<{ NODE_COMPILE_CACHE?: string }> {
  const { cache } = runtime
  if (cache === undefined) return {}
  if (uid !== undefined) {
    const made = (await readdir(cache).catch(() => [])).filter(entry => entry.endsWith('-0'))
    for (const entry of made) await symlink(entry, join(cache, entry.replace(/-0$/, `-${uid}`))).catch(() => {})
  }
  return { NODE_COMPILE_CACHE: cache }
}

/** The agent that runs in the server's folder, whoever started it (Linux only, else none). */
export async function agentIn({ dataDir }: HostConfig, { name, uid }: ServerState): Promise<Running | undefined> {
  const dir = await realpath(serverDir(dataDir, name)).catch(() => undefined)
  if (dir === undefined) return undefined
  const found = await Promise.all(
    (await pids()).map(async pid => {
      const folder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
      const mine = folder === dir && (uid === undefined || (await isOf(pid, uid)))
      return mine ? runningAs(Number(pid)) : undefined
    }),
  )
  return found.find(running => running !== undefined)
}

/** How long an agent may take to stop its database and itself. */
const STOP_MS = 40_000

/** Asks the agent to stop its database and end; ends both by force if that takes too long. */
export async function stopServer(config: HostConfig, server: ServerState, clock: Clock): Promise<void> {
  const agent = await agentOf(config, server)
  if (agent) {
    signal(agent.pid, 'SIGTERM')
    await gone(agent, STOP_MS, clock)
  }
  await endServer(config, server, clock)
}

/** Ends every process of the server at once. */
export async function endServer(config: HostConfig, server: ServerState, clock: Clock): Promise<void> {
  const agent = await agentOf(config, server)
  if (agent) signal(agent.pid, 'SIGKILL')
  const data = join(volumeDir(config.dataDir, server.volume), 'data')
  for (const database of await serversIn(data)) signal(database.pid, 'SIGQUIT')
  for (let tries = 0; tries < 100; tries++) {
    const left = await processesOf(config, server, data)
    if (left.length === 0) return
    if (tries >= 20) for (const { pid } of left) signal(pid, 'SIGKILL')
    await clock.sleep(20)
  }
  throw new Error(`processes of ${server.name} do not end`)
}

/** The agent and the database of a server; with a uid of its own, whatever runs as it. */
async function processesOf(config: HostConfig, server: ServerState, data: string): Promise<Running[]> {
  const agent = await agentOf(config, server)
  const own = server.uid === undefined ? [] : await processesOfUid(server.uid)
  return [...(agent ? [agent] : []), ...(await serversIn(data)), ...own]
}

async function agentOf(config: HostConfig, server: ServerState): Promise<Running | undefined> {
  return server.agent && (await alive(server.agent)) ? server.agent : agentIn(config, server)
}

const pids = async () => (await readdir('/proc').catch(() => [])).filter(name => /^\d+$/.test(name))

async function isOf(pid: string, uid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return status.includes(`\nUid:\t${uid}\t`)
}

async function processesOfUid(uid: number): Promise<Running[]> {
  const mine = await Promise.all(
    (await pids()).map(async pid => ((await isOf(pid, uid)) ? runningAs(Number(pid)) : undefined)),
  )
  return mine.filter(running => running !== undefined)
}

async function gone(agent: Running, ms: number, clock: Clock): Promise<void> {
  const end = clock.now() + ms
  while (clock.now() < end && (await alive(agent))) await clock.sleep(20)
}

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL' | 'SIGQUIT'): void {
  try {
    kill(pid, name)
  } catch {
    // It has just ended by itself.
  }
}
