import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { platform, release } from 'node:os'
import { promisify } from 'node:util'
import { type Bounds, Cgroups, type Places, RESOURCES, type Resource } from './cgroups.ts'
import { PROGRAM_PATH } from './config.ts'
import { closeMetadata, type MetadataState, openMetadata } from './metadata.ts'
import type { ServerState } from './state.ts'

type ConfinedServer = Pick<ServerState, 'name' | 'uid' | 'flavor'>

/** What keeps the programs of an instance from the rest of the machine, besides the uid. */
export interface Confinement {
  /** What is bounded by what here, and what is not, in one line. */
  words: string
  /** Whether an instance sees its own processes only. */
  hides: boolean
  /**
   * Sets what holds for the machine as a whole: forgets groups that nobody is in any more, and closes its cloud's metadata
   * address to instances.
   */
  start(): Promise<{ metadata: MetadataState }>
  /** Takes that back. */
  stop(): Promise<void>
  /** Bounds a process of the server, and all that it starts from then on. */
  bound(server: ConfinedServer, pid: number): Promise<void>
  /** Raises the bounds of a server that runs. */
  raise(server: ConfinedServer, pid: number | undefined): Promise<void>
  /** Ends all that it has started, where the kernel can do that in one go. */
  end(server: ConfinedServer): Promise<void>
  /** Forgets the server, none of whose processes is left. */
  release(server: ConfinedServer): Promise<void>
}

/** What an agent needs besides its database. */
const AGENT_MB = 192
/** Programs of the agent, and of a tenant besides its connections. */
const MORE_PROCESSES = 512

/** One process for each 8 MB, as a database has sessions. */
const boundsOf = ({ ramMb, vcpus }: ServerState['flavor']): Bounds => ({
  memoryMb: ramMb + AGENT_MB,
  processes: Math.min(1_000, Math.ceil(ramMb / 8)) + MORE_PROCESSES,
  vcpus,
})

/** A uid of an instance is given to another later, and names of servers in tests are the same everywhere. */
const groupOf = ({ name, uid }: ConfinedServer) => `${name}.${uid}`

/** If memory is short, the kernel ends programs of instances before Coffer's and the machine's. */
const OOM_SCORE = '500'

/** Nothing is bounded: without root, or on another system than Linux. */
export const UNCONFINED: Confinement = {
  words: 'nothing is bounded: that needs root on Linux',
  hides: false,
  start: async () => ({ metadata: 'open' }),
  stop: async () => undefined,
  bound: async () => undefined,
  raise: async () => undefined,
  end: async () => undefined,
  release: async () => undefined,
}

/** What this machine offers, for a daemon that gives each instance a uid (`firstUid`). */
export async function detectConfinement(firstUid: number | undefined, places: Places = {}): Promise<Confinement> {
  if (firstUid === undefined || platform() !== 'linux') return UNCONFINED
  const [cgroups, hides, limits] = await Promise.all([Cgroups.open(places), canHide(), canLimit()])
  const limitsProcesses = limits && cgroups.versionOf('processes') === undefined
  return {
    words: wordsFor(cgroups, hides, limitsProcesses),
    hides,
    async start() {
      await cgroups.sweep()
      return { metadata: await closeMetadata(firstUid) }
    },
    stop: () => openMetadata(firstUid),
    async bound(server, pid) {
      const bounds = boundsOf(server.flavor)
      await writeFile(`/proc/${pid}/oom_score_adj`, OOM_SCORE)
      await cgroups.place(groupOf(server), bounds, pid)
      if (limitsProcesses) await prlimit(pid, bounds.processes)
    },
    async raise(server, pid) {
      const bounds = boundsOf(server.flavor)
      await cgroups.change(groupOf(server), bounds)
      if (limitsProcesses && pid !== undefined) await prlimit(pid, bounds.processes)
    },
    end: server => cgroups.end(groupOf(server)),
    release: server => cgroups.remove(groupOf(server)),
  }
}

function wordsFor(cgroups: Cgroups, hides: boolean, limitsProcesses: boolean): string {
  const means = (resource: Resource) => {
    const version = cgroups.versionOf(resource)
    if (version !== undefined) return `cgroup v${version}`
    return resource === 'processes' && limitsProcesses ? 'rlimit' : 'not bounded'
  }
  return [
    ...RESOURCES.map(resource => `${resource}: ${means(resource)}`),
    `end: ${cgroups.endsAll ? 'cgroup.kill and ' : ''}kill by uid`,
    `other processes: ${hides ? 'hidden' : 'seen'}`,
  ].join('; ')
}

/**
 * A limit for the uid: no limit of this kind bounds the memory of all its processes together, and one for the address
 * space would refuse a database's shared memory.
 */
async function prlimit(pid: number, processes: number): Promise<void> {
  await run('prlimit', ['--pid', String(pid), `--nproc=${processes}:${processes}`])
}

/** Programs are looked for where agents' are. */
const run = (program: string, args: string[]) => promisify(execFile)(program, args, { env: { PATH: PROGRAM_PATH } })

const succeeds = (program: string, args: string[]): Promise<boolean> =>
  run(program, args).then(
    () => true,
    () => false,
  )

const canLimit = () => succeeds('prlimit', ['--version'])

const MOUNT = 'mount -t proc -o hidepid=2 proc /proc'
const NAMESPACE = ['--mount', '--propagation', 'slave', '--', '/bin/sh', '-c']

/** Before Linux 5.8 the option would be that of every /proc of the machine. */
function hasOwnOptions(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  return major > 5 || (major === 5 && minor >= 8)
}

const canHide = async () =>
  hasOwnOptions() &&
  (await succeeds('unshare', [...NAMESPACE, `${MOUNT} && exec setpriv --reuid 65534 --clear-groups true`]))

/** A program, and how it is started as the uid with a /proc that shows the uid's own processes only. */
export function hiddenCommand(uid: number, program: string, args: string[]): { program: string; args: string[] } {
  const script = `${MOUNT} && exec setpriv --reuid "$0" --regid "$0" --clear-groups -- "$@"`
  return { program: 'unshare', args: [...NAMESPACE, script, String(uid), program, ...args] }
}
