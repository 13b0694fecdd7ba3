import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { UIDS } from '../../host/uids.ts'
import { codeOf } from '../../lib/kit/errors.ts'
import { isAlive, type ProcessRef, readStartTicks } from '../../lib/kit/os/process.ts'

/** A running process. Its start time tells it from a later process with the same number. */
export interface RunningProcess extends ProcessRef {
  parent: number
  uid: number
  args: string
  cwd: string
}

export const KINDS = ['control', 'host', 'agent', 'postmaster', 'backend'] as const
/** What can be killed: control plane, host daemon, an agent, a database's server, a process of such a server. */
export type Kind = (typeof KINDS)[number]

export interface Victim {
  kind: Kind
  process: ProcessRef
  /** Whose it is; undefined if it serves all. */
  instance?: string
}

/** All processes that a Coffer has on its data directory, without this one and those that started it. */
export function processesOf(dataDir: string): RunningProcess[] {
  const all = allProcesses()
  const firstUid = firstUidOf(dataDir)
  const ancestors = ancestorsOf(all, process.pid)
  const belongs = ({ args, cwd, uid }: RunningProcess) =>
    args.includes(`${dataDir}/`) ||
    args.split(' ').includes(dataDir) ||
    `${cwd}/`.startsWith(`${dataDir}/`) ||
    (firstUid !== undefined && uid >= firstUid && uid < firstUid + UIDS)
  return [...all.values()].filter(candidate => !ancestors.has(candidate.pid) && belongs(candidate))
}

/** Whom a killer can choose from. `control` is the process that the soak started. */
export function victimsOf(dataDir: string, control: ProcessRef | undefined): Victim[] {
  const processes = processesOf(dataDir)
  const volumes = join(dataDir, 'volumes')
  const agents = processes.filter(({ args }) => args.includes('guest-agent.mjs'))
  const postmasters = processes.filter(({ args }) => args.includes(`/bin/postgres -D ${volumes}/`))
  const instances = new Map(postmasters.map(({ pid, args }) => [pid, instanceIn(args)]))
  const backends = processes.filter(({ parent }) => instances.has(parent))
  const hostPid = pidOfHost(dataDir)
  const hosts = processes.filter(({ pid, args }) => pid === hostPid && args.includes('host/main.ts'))
  return [
    ...(control ? [{ kind: 'control' as const, process: control }] : []),
    ...hosts.map(({ pid, started }) => ({ kind: 'host' as const, process: { pid, started } })),
    ...agents.map(running => victim('agent', running, instanceIn(`${running.args} ${running.cwd}`))),
    ...postmasters.map(running => victim('postmaster', running, instanceIn(running.args))),
    ...backends.map(running => victim('backend', running, instances.get(running.parent))),
  ]
}

/** Sends SIGKILL if it is still that very process. Returns whether it was. */
export async function killProcess(target: ProcessRef): Promise<boolean> {
  if (!(target.pid > 1) || target.pid === process.pid || !(await isAlive(target))) return false
  try {
    process.kill(target.pid, 'SIGKILL')
    return true
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false
    throw error
  }
}

const victim = (kind: Kind, { pid, started }: RunningProcess, instance: string | undefined): Victim => ({
  kind,
  process: { pid, started },
  ...(instance !== undefined && { instance }),
})

const instanceIn = (text: string) => /(?:server|volume)-([0-9a-f-]{36})-\d+/.exec(text)?.[1]

function pidOfHost(dataDir: string): number | undefined {
  try {
    return Number(JSON.parse(readFileSync(join(dataDir, 'host.pid'), 'utf8')).pid)
  } catch {
    return undefined
  }
}

function firstUidOf(dataDir: string): number | undefined {
  const path = join(dataDir, 'host.json')
  if (!existsSync(path)) return undefined
  const uid: unknown = JSON.parse(readFileSync(path, 'utf8')).firstUid
  return typeof uid === 'number' ? uid : undefined
}

function ancestorsOf(all: Map<number, RunningProcess>, pid: number): Set<number> {
  const ancestors = new Set<number>()
  for (let next: number | undefined = pid; next !== undefined && !ancestors.has(next); next = all.get(next)?.parent) {
    ancestors.add(next)
  }
  return ancestors
}

function allProcesses(): Map<number, RunningProcess> {
  const processes = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => readProcess(Number(name)) ?? [])
  return new Map(processes.map(running => [running.pid, running]))
}

function readProcess(pid: number): RunningProcess | undefined {
  const stat = readIfRunning(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  const status = readIfRunning(() => readFileSync(`/proc/${pid}/status`, 'utf8'))
  const started = readStartTicks(stat)
  if (started === undefined || status === '') return undefined
  const args = readIfRunning(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
    .replaceAll('\0', ' ')
    .trim()
  const cwd = readIfRunning(() => readlinkSync(`/proc/${pid}/cwd`))
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? -1)
  return { pid, started, args, cwd, parent: field('PPid'), uid: field('Uid') }
}

/** Empty if the process has ended meanwhile, or hides this from us. */
function readIfRunning(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
