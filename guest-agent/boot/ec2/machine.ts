import { lchown, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { geteuid } from 'node:process'
import { z } from 'zod'
import type { MachineSide } from '../../../lib/datastores/machine.ts'
import type { Clock } from '../../../lib/kit/clock.ts'
import { exists, moveInto, removeAll, replaceFile } from '../../../lib/kit/os/files.ts'
import { AgentConfig, type AgentSite } from '../../config.ts'

/** What an EC2 machine gets at its first start. */
export const MachineConfig = z.object({
  userData: AgentConfig.shape.userData,
  datastore: AgentConfig.shape.datastore,
  /** EC2's id of the data volume. */
  volume: z.string().regex(/^vol-[0-9a-f]+$/),
  port: z.int(),
  logLevel: z.string(),
})
export type MachineConfig = z.infer<typeof MachineConfig>

/** The machine that this runs on, as root. */
export interface System {
  /** Runs a program: its exit status and output. Throws if there is no such program. */
  run(program: string, args: string[]): Promise<{ status: number; output: string }>
  /** The metadata service's value for a path; undefined if it has none. */
  metadata(path: string): Promise<string | undefined>
  clock: Clock
  /** The folder of all files: `/var/lib/coffer`. */
  home: string
  /** The folder of disks by their ids. */
  disks: string
  /** What datastores do on a machine, by manager. */
  machines: Readonly<Record<string, MachineSide>>
  /** The user that agent and database run as. */
  owner: { uid: number; gid: number }
  hardware: { ramMb: number; vcpus: number }
}

/** How long a volume may take to be attached. */
const ATTACH_MS = 600_000
const POLL_MS = 1_000
/** The exit status of blkid if it recognizes nothing on a disk. */
const BLKID_NOTHING = 2
const BLANK_BYTES = 4 * 2 ** 20

const volumeDir = ({ home }: System) => join(home, 'volume')
// The name is on volumes that are in use.
const dataDir = (system: System) => join(volumeDir(system), 'cluster')

/** Mounts the machine's volume, makes its data, and writes its agent's files. May be repeated. */
export async function prepareMachine(machine: MachineConfig, system: System): Promise<void> {
  await mountVolume(await waitForDisk(machine, system), system)
  const version = (await system.metadata('tags/instance/coffer-engine')) ?? machine.datastore.version
  const side = sideOf(machine, system)
  const engine = join(side.imageFolder, version)
  await ensureData(side, engine, system)
  await writeAgentFiles(machine, { ...machine.datastore, version }, engine, system)
}

function sideOf({ datastore: { manager } }: MachineConfig, { machines }: System): MachineSide {
  const side = Object.hasOwn(machines, manager) ? machines[manager] : undefined
  if (!side) throw new Error(`this image knows no datastore ${manager}`)
  return side
}

/** Grows the file system to the size of its volume. */
export async function growVolume({ volume }: MachineConfig, system: System): Promise<void> {
  const disk = diskPath(volume, system)
  if (await exists(disk)) await runOrThrow(system, 'resize2fs', [disk])
}

const diskPath = (volume: string, { disks }: System) =>
  join(disks, `nvme-Amazon_Elastic_Block_Store_${volume.replace('-', '')}`)

async function waitForDisk({ volume }: MachineConfig, system: System): Promise<string> {
  const disk = diskPath(volume, system)
  const end = system.clock.now() + ATTACH_MS
  while (!(await exists(disk))) {
    if (system.clock.now() > end) throw new Error(`the volume ${volume} was not attached`)
    await system.clock.sleep(POLL_MS)
  }
  return disk
}

/** Makes a file system on a blank disk only: nothing that is on a disk is ever overwritten. */
async function mountVolume(disk: string, system: System): Promise<void> {
  const folder = volumeDir(system)
  await mkdir(folder, { recursive: true, mode: 0o755 })
  if ((await system.run('mountpoint', ['-q', folder])).status === 0) return
  const { status, output } = await system.run('blkid', ['-p', '-o', 'value', '-s', 'TYPE', disk])
  // blkid says the same of a disk that it could not read, so only one that reads as zeros is new.
  if (status === BLKID_NOTHING && (await isBlank(disk))) await runOrThrow(system, 'mkfs.ext4', ['-q', '-m', '1', disk])
  else if (status !== 0 || output.trim() !== 'ext4')
    throw new Error(`${disk} has something else on it: ${output.trim()}`)
  await runOrThrow(system, 'mount', ['-o', 'noatime,nodev,nosuid', disk, folder])
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

async function runOrThrow(system: System, program: string, args: string[]): Promise<void> {
  const { status, output } = await system.run(program, args)
  if (status !== 0) throw new Error(`${program} failed: ${output.trim()}`)
}

/** Makes the data of a new volume; a draft that a crash left is made anew. */
async function ensureData(side: MachineSide, engine: string, system: System): Promise<void> {
  if (!(await exists(engine))) throw new Error(`the image has no engine in ${engine}`)
  const data = dataDir(system)
  if (await exists(data)) return
  const draft = join(volumeDir(system), 'draft')
  await removeAll(draft)
  await side.initVolume({ engine, dir: draft, ...system.owner })
  await moveInto(draft, data)
}

async function writeAgentFiles(
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
  await lchown(dir, owner.uid, owner.gid)
  const config: AgentConfig = { userData, datastore, logLevel }
  const site: AgentSite = { volume: dataDir(system), engine, address, port, flavor: hardware, root: 'superuser' }
  // Beside the folder: in it, the agent's user could put links in their place.
  const readable = { mode: 0o640, owner: { uid: geteuid?.() ?? 0, gid: owner.gid } }
  await replaceFile(`${dir}.config.json`, JSON.stringify(config), readable)
  await replaceFile(`${dir}.site.json`, JSON.stringify(site), readable)
}
