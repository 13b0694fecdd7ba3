import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ignoreFullDisk } from '../lib/kit/errors.ts'
import { DRAFT_SUFFIX, readJson, removeAll, replaceFile } from '../lib/kit/os/files.ts'
import { makeFolder } from './data-dir.ts'

const partFields = { name: z.string(), instance: z.string(), project: z.string(), generation: z.int() }
const Datastore = z.object({ manager: z.string(), version: z.string() })

const VolumeState = z.object({
  ...partFields,
  sizeGb: z.number(),
  /** The last change of it. */
  changeId: z.string().optional(),
  datastore: Datastore,
  /** Who owns its files; undefined = the daemon's own user. */
  uid: z.int().optional(),
})
type VolumeState = z.infer<typeof VolumeState>

export const ServerState = z.object({
  ...partFields,
  volume: z.string(),
  flavor: z.object({ ramMb: z.number(), vcpus: z.number() }),
  datastore: Datastore,
  uid: z.int().optional(),
  address: z.string(),
  port: z.int(),
  /** The last change of it. */
  changeId: z.string().optional(),
  /** Its agent's process. Another process may get the same pid later, so its start time belongs to it. */
  agent: z.object({ pid: z.int(), started: z.string() }).optional(),
  /** Why it was ended by the daemon: it is not started until it is rebooted. */
  ended: z.string().optional(),
})
export type ServerState = z.infer<typeof ServerState>

/** A part that was deleted, and when (milliseconds since the epoch). */
const DeletedPart = z.object({ name: z.string(), at: z.number() })

/** The records of one kind, a file each, by name. */
interface Records<T> {
  get(name: string): Promise<T | undefined>
  put(record: T): Promise<void>
  remove(name: string): Promise<void>
  all(): Promise<T[]>
}

function records<T extends { name: string }>(dataDir: string, kind: string, schema: z.ZodType<T>): Records<T> {
  const folder = join(dataDir, 'state', kind)
  const path = (name: string) => join(folder, `${name}.json`)
  const get = async (name: string) => {
    const value = await readJson(path(name))
    return value === undefined ? undefined : schema.parse(value)
  }
  return {
    get,
    async put(record) {
      await makeFolder(dataDir, ['state', kind])
      await replaceFile(path(record.name), JSON.stringify(record))
    },
    remove: name => removeAll(path(name)),
    async all() {
      const names = await readdir(folder).catch(() => [])
      const stored = await Promise.all(names.filter(name => name.endsWith('.json')).map(name => get(name.slice(0, -5))))
      return stored.filter(record => record !== undefined)
    },
  }
}

/** All that a daemon remembers: what it runs, and the names of deleted parts, which it must never make again. */
export function hostState(dataDir: string) {
  return {
    volumes: records<VolumeState>(dataDir, 'volumes', VolumeState),
    servers: records<ServerState>(dataDir, 'servers', ServerState),
    deleted: records<z.infer<typeof DeletedPart>>(dataDir, 'deleted', DeletedPart),
  }
}
export type HostState = ReturnType<typeof hostState>

/** Forgets the names of parts that were deleted before a time (milliseconds since the epoch). */
export async function forgetDeleted({ deleted }: HostState, before: number): Promise<void> {
  for (const { name, at } of await deleted.all()) if (at < before) await deleted.remove(name)
}

/** Marks first what is removed. On a full disk after it: the removal makes the space, and a repetition marks it too. */
export async function markAndRemove(mark: () => Promise<void>, remove: () => Promise<void>): Promise<void> {
  let isMarked = true
  await mark().catch(error => {
    ignoreFullDisk(error)
    isMarked = false
  })
  await remove()
  if (!isMarked) await mark()
}

/** Removes the files that a daemon had not written to their end when it died. */
export async function removeDrafts(dataDir: string): Promise<void> {
  for (const parts of [['state'], ['state', 'volumes'], ['state', 'servers'], ['state', 'deleted'], ['servers']]) {
    const folder = join(dataDir, ...parts)
    const names = await readdir(folder).catch(() => [])
    for (const name of names) if (name.endsWith(DRAFT_SUFFIX)) await removeAll(join(folder, name))
  }
}

/** Where the files of a volume and of a server are. */
export const volumeDir = (dataDir: string, name: string) => join(dataDir, 'volumes', name)
export const serverDir = (dataDir: string, name: string) => join(dataDir, 'servers', name)
/** These two are beside the server's folder: in it, the instance's uid could put links in their place. */
export const configFile = (dataDir: string, name: string) => join(dataDir, 'servers', `${name}.config.json`)
export const siteFile = (dataDir: string, name: string) => join(dataDir, 'servers', `${name}.site.json`)
/** Where the server's agent claims its address. */
export const addressSocket = (dataDir: string, name: string) => join(dataDir, 'servers', `${name}.address`)
/** The file that the agent leaves in its folder when its database is stopped on purpose. */
export const STOPPED_FILE = 'stopped'
export const logFile = (dataDir: string, name: string) => join(dataDir, 'servers', `${name}.log`)
