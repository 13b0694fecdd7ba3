import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { codeOf } from '../lib/kit/errors.ts'
import { exists } from '../lib/kit/os/files.ts'

/** What an instance may use. */
export interface Bounds {
  memoryMb: number
  processes: number
  /** Its share where processors are short, not a limit. */
  vcpus: number
}

/** What control groups can bound. */
export const RESOURCES = ['memory', 'processes', 'cpu'] as const
export type Resource = (typeof RESOURCES)[number]

/** The kernel's name of each resource's controller. */
const CONTROLLERS: Record<Resource, string> = { memory: 'memory', processes: 'pids', cpu: 'cpu' }

/** A tree of control groups, the folder of our groups in it, and what it bounds. */
interface Hierarchy {
  version: 1 | 2
  parent: string
  resources: Resource[]
}

/** The folder of all instances' groups: whatever Coffer they belong to, they get names of their own. */
const PARENT = 'coffer'
const MAX_WEIGHT = 10_000
/** Each daemon removes empty groups once, at its start: so many do not start in this moment. */
const MAX_ENTER_TRIES = 20

/** Where the kernel shows control groups, and the file that says in which ones this process is. */
export interface Places {
  root?: string
  self?: string
}

/** Control groups of instances, of version 2, of version 1, or both, as this machine has them. For root. */
export class Cgroups {
  readonly #hierarchies: Hierarchy[]

  private constructor(hierarchies: Hierarchy[]) {
    this.#hierarchies = hierarchies
  }

  /** Makes the folder of the groups wherever that is possible; a read-only tree is left out. */
  static async open({ root = '/sys/fs/cgroup', self = '/proc/self/cgroup' }: Places = {}): Promise<Cgroups> {
    const groups = parseGroups(await readFile(self, 'utf8').catch(() => ''))
    const unified = await openUnified(root, groups.get(''))
    const missing = RESOURCES.filter(resource => !unified?.resources.includes(resource))
    const first = await Promise.all(missing.map(resource => openFirst(root, resource, groups)))
    return new Cgroups([unified, ...first].filter(hierarchy => hierarchy !== undefined))
  }

  /** The version that bounds a resource; undefined if nothing does. */
  versionOf(resource: Resource): 1 | 2 | undefined {
    return this.#hierarchies.find(({ resources }) => resources.includes(resource))?.version
  }

  /** Whether a group's processes can be ended in one go. */
  get endsAll(): boolean {
    return this.#hierarchies.some(({ version }) => version === 2)
  }

  /** Puts a process, and what it will start, in the group of that name. */
  async place(name: string, bounds: Bounds, pid: number): Promise<void> {
    for (const hierarchy of this.#hierarchies) enterGroup(hierarchy, name, bounds, pid)
  }

  /** Changes the bounds of a group that exists. */
  async change(name: string, bounds: Bounds): Promise<void> {
    for (const hierarchy of this.#hierarchies) {
      if (await exists(join(hierarchy.parent, name))) makeGroup(hierarchy, name, bounds)
    }
  }

  /** Ends all processes of a group in one go, where the kernel can do that. */
  async end(name: string): Promise<void> {
    for (const { version, parent } of this.#hierarchies) {
      if (version === 2) await writeFile(join(parent, name, 'cgroup.kill'), '1').catch(ifMissing)
    }
  }

  /** Removes a group without processes. One that still has some stays until the next `sweep`. */
  async remove(name: string): Promise<void> {
    for (const { parent } of this.#hierarchies) await rmdir(join(parent, name)).catch(() => undefined)
  }

  /** Removes all groups without processes. */
  async sweep(): Promise<void> {
    for (const { parent } of this.#hierarchies) {
      const entries = await readdir(parent, { withFileTypes: true }).catch(() => [])
      for (const entry of entries) if (entry.isDirectory()) await rmdir(join(parent, entry.name)).catch(() => undefined)
    }
  }
}

/** The groups of a process, by controller; '' is version 2. */
function parseGroups(text: string): Map<string, string> {
  const lines = [...text.matchAll(/^\d+:([^:]*):(.*)$/gm)]
  return new Map(lines.flatMap(([, names = '', path = '']) => names.split(',').map(name => [name, path] as const)))
}

/** Version 2: beside this process's own group, for a group with processes cannot bound those in it. */
async function openUnified(root: string, group: string | undefined): Promise<Hierarchy | undefined> {
  const tops = [root, join(root, 'unified')]
  const present = await Promise.all(tops.map(path => exists(join(path, 'cgroup.controllers'))))
  const top = tops.find((_, index) => present[index])
  if (top === undefined || group === undefined) return undefined
  const base = join(top, dirname(group))
  const parent = join(base, PARENT)
  if (!(await makeParent(parent))) return undefined
  await enableControllers(base)
  const resources = await enableControllers(parent)
  if (resources.includes('cpu')) await writeFile(join(parent, 'cpu.weight'), weight(availableParallelism()))
  return { version: 2, parent, resources }
}

/** Enables what is not yet enabled for the groups in a group. Returns what they can bound now. */
async function enableControllers(group: string): Promise<Resource[]> {
  const enabled: Resource[] = []
  for (const resource of RESOURCES) {
    const change = writeFile(join(group, 'cgroup.subtree_control'), `+${CONTROLLERS[resource]}`)
    // It is refused if the group above does not have it, or has processes.
    await change.then(
      () => enabled.push(resource),
      () => undefined,
    )
  }
  return enabled
}

/** Version 1, where this process is in the top group: below another one, who made that decides. */
async function openFirst(
  root: string,
  resource: Resource,
  groups: Map<string, string>,
): Promise<Hierarchy | undefined> {
  const controller = CONTROLLERS[resource]
  const top = join(root, controller)
  if (groups.get(controller) !== '/' || !(await exists(join(top, 'cgroup.procs')))) return undefined
  const parent = join(top, PARENT)
  if (!(await makeParent(parent))) return undefined
  if (resource === 'cpu') await writeFile(join(parent, 'cpu.shares'), shares(availableParallelism()))
  return { version: 1, parent, resources: [resource] }
}

const makeParent = (path: string): Promise<boolean> =>
  mkdir(path).then(
    () => true,
    error => codeOf(error) === 'EEXIST',
  )

/**
 * Another daemon that starts may remove the group as an empty one before the process is in it: then it is made again.
 * Synchronously, as these are no files on a disk: so that happens hardly ever.
 */
function enterGroup(hierarchy: Hierarchy, name: string, bounds: Bounds, pid: number): void {
  for (let attempt = 1; ; attempt++) {
    try {
      const group = makeGroup(hierarchy, name, bounds)
      writeFileSync(join(group, 'cgroup.procs'), String(pid))
      return
    } catch (error) {
      if (attempt >= MAX_ENTER_TRIES || !['ENOENT', 'ENODEV'].includes(String(codeOf(error)))) throw error
    }
  }
}

function makeGroup({ version, parent, resources }: Hierarchy, name: string, bounds: Bounds): string {
  const group = join(parent, name)
  mkdirSync(group, { recursive: true })
  for (const resource of resources) {
    const [file, value] = FILES[version][resource](bounds)
    writeFileSync(join(group, file), value)
  }
  return group
}

const weight = (vcpus: number) => String(Math.min(MAX_WEIGHT, 100 * vcpus))
const shares = (vcpus: number) => String(1024 * vcpus)
const bytes = (megabytes: number) => String(megabytes * 2 ** 20)

/** The file of each bound, and what is written to it. */
const FILES: Record<1 | 2, Record<Resource, (bounds: Bounds) => [file: string, value: string]>> = {
  1: {
    memory: ({ memoryMb }) => ['memory.limit_in_bytes', bytes(memoryMb)],
    processes: ({ processes }) => ['pids.max', String(processes)],
    cpu: ({ vcpus }) => ['cpu.shares', shares(vcpus)],
  },
  2: {
    memory: ({ memoryMb }) => ['memory.max', bytes(memoryMb)],
    processes: ({ processes }) => ['pids.max', String(processes)],
    cpu: ({ vcpus }) => ['cpu.weight', weight(vcpus)],
  },
}

function ifMissing(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error
}
