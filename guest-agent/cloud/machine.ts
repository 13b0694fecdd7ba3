import { chmod, chown, lstat, mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { initCluster } from '../../lib/datastores/postgresql/engine.ts'
import type { Clock } from '../../lib/kit/clock.ts'
import { removeAll, writeAtomically } from '../../lib/kit/files.ts'
import { AgentConfig, type AgentSite } from '../config.ts'

/** What a machine of a cloud is told at its first start. */
export const MachineConfig = z.object({
  userData: AgentConfig.shape.userData,
  datastore: AgentConfig.shape.datastore,
  /** The cloud's id of the data volume. */
  volume: z.string().regex(/^vol-[0-9a-f]+$/),
  port: z.int(),
  logLevel: z.string(),
})
export type MachineConfig = z.infer<typeof MachineConfig>

/** The machine that this runs on, as root. */
export interface System {
  /** A program's end, and what it wrote. Throws if there is no such program. */
  run(program: string, args: string[]): Promise<{ status: number; output: string }>
  /** What the cloud tells of the machine; undefined if it tells nothing of that. */
  metadata(path: string): Promise<string | undefined>
  clock: Clock
  /** Where all is kept: `/var/lib/coffer`. */
  home: string
  /** Where disks are found by their ids, and engines by their versions. */
  disks: string
  engines: string
  /** Whom agent and database run as. */
  owner: { uid: number; gid: number }
  hardware: { ramMb: number; vcpus: number }
}

/** How long a volume may take to be attached. */
const ATTACH_MS = 600_000
const LOOK_MS = 1_000
/** The exit status of blkid where there is nothing on a disk. */
const NOTHING_FOUND = 2
const BLANK_BYTES = 4 * 2 ** 20

const volumeOf = ({ home }: System) => join(home, 'volume')
const clusterOf = (system: System) => join(volumeOf(system), 'cluster')

/** Makes the machine what it shall be: mounts its volume, makes its cluster, writes what its agent reads. Any number of times. */
export async function prepareMachine(machine: MachineConfig, system: System): Promise<void> {
  await mounted(await diskOf(machine, system), system)
  const version = (await system.metadata('tags/instance/coffer-engine')) ?? machine.datastore.version
  const engine = join(system.engines, version)
  await clustered(engine, system)
  await written(machine, { ...machine.datastore, version }, engine, system)
}

/** The file system takes what its volume has grown by. */
export async function growVolume({ volume }: MachineConfig, system: System): Promise<void> {
  const disk = diskPath(volume, system)
  if (await exists(disk)) await done(system, 'resize2fs', [disk])
}

const diskPath = (volume: string, { disks }: System) =>
  join(disks, `nvme-Amazon_Elastic_Block_Store_${volume.replace('-', '')}`)

async function diskOf({ volume }: MachineConfig, system: System): Promise<string> {
  const disk = diskPath(volume, system)
  const end = system.clock.now() + ATTACH_MS
  while (!(await exists(disk))) {
    if (system.clock.now() > end) throw new Error(`the volume ${volume} was not attached`)
    await system.clock.sleep(LOOK_MS)
  }
  return disk
}

/** A disk with nothing on it gets a file system; whatever else is on it is never overwritten. */
async function mounted(disk: string, system: System): Promise<void> {
  const folder = volumeOf(system)
  await mkdir(folder, { recursive: true, mode: 0o755 })
  if ((await system.run('mountpoint', ['-q', folder])).status === 0) return
  const { status, output } = await system.run('blkid', ['-p', '-o', 'value', '-s', 'TYPE', disk])
  // It says the same of what it could not read: only what reads as zeros is new.
  if (status === NOTHING_FOUND && (await isBlank(disk))) await done(system, 'mkfs.ext4', ['-q', '-m', '1', disk])
  else if (status !== 0 || output.trim() !== 'ext4')
    throw new Error(`${disk} has something else on it: ${output.trim()}`)
  await done(system, 'mount', ['-o', 'noatime,nodev,nosuid', disk, folder])
}

/** Whether the disk begins with nothing but zeros, as a new one does. Throws if it cannot be read. */
async function isBlank(disk: string): Promise<boolean> {
  const file = await open(disk, 'r')
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(BLANK_BYTES, 1), 0, BLANK_BYTES, 0)
    return bytesRead > 0 && buffer.subarray(0, bytesRead).every(byte => byte === 0)
  } finally {
    await file.close()
  }
}

async function done(system: System, program: string, args: string[]): Promise<void> {
  const { status, output } = await system.run(program, args)
  if (status !== 0) throw new Error(`${program} failed: ${output.trim()}`)
}

/** A new volume gets a cluster; half of one, made before a crash, is made anew. */
async function clustered(engine: string, system: System): Promise<void> {
  if (!(await exists(join(engine, 'bin', 'initdb')))) throw new Error(`the image has no engine in ${engine}`)
  const cluster = clusterOf(system)
  if (await exists(cluster)) return
  const draft = join(volumeOf(system), 'draft')
  await removeAll(draft)
  await initCluster({ engine, dir: draft, ...system.owner })
  await rename(draft, cluster)
}

async function written(
  { userData, port, logLevel }: MachineConfig,
  datastore: MachineConfig['datastore'],
  engine: string,
  system: System,
): Promise<void> {
  const { home, owner, hardware } = system
  const address = await system.metadata('local-ipv4')
  if (!address) throw new Error('the machine does not know its address')
  const dir = join(home, 'agent')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const config: AgentConfig = { userData, datastore, logLevel }
  await writeAtomically(join(dir, 'config.json'), JSON.stringify(config))
  await chown(join(dir, 'config.json'), owner.uid, owner.gid)
  await chown(dir, owner.uid, owner.gid)
  // Beside the folder, where the agent's user reads it and cannot change it.
  const site: AgentSite = { volume: clusterOf(system), engine, address, port, flavor: hardware }
  await writeAtomically(`${dir}.site.json`, JSON.stringify(site))
  await chmod(`${dir}.site.json`, 0o644)
}

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  )
