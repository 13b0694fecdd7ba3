import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readJson, removeAll, writeAtomically } from '../lib/kit/files.ts'

const Owned = { name: z.string(), instance: z.string(), project: z.string(), generation: z.int() }
const Datastore = z.object({ manager: z.string(), version: z.string() })

export const VolumeState = z.object({
  ...Owned,
  sizeGb: z.number(),
  /** The last change of it. */
  wish: z.string().optional(),
  datastore: Datastore,
  /** Who owns its files; undefined = the daemon's own user. */
  uid: z.int().optional(),
})
export type VolumeState = z.infer<typeof VolumeState>

export const ServerState = z.object({
  ...Owned,
  volume: z.string(),
  flavor: z.object({ ramMb: z.number(), vcpus: z.number() }),
  datastore: Datastore,
  uid: z.int().optional(),
  address: z.string(),
  port: z.int(),
  /** The last change of it. */
  wish: z.string().optional(),
  /** Its agent: a pid may be another process's later, so its start belongs to it. */
  agent: z.object({ pid: z.int(), started: z.string() }).optional(),
})
export type ServerState = z.infer<typeof ServerState>

const Tombstone = z.object({ name: z.string(), at: z.number() })

/** The records of one kind, a file each, by name. */
export interface Records<T> {
  get(name: string): Promise<T | undefined>
  put(record: T): Promise<void>
  remove(name: string): Promise<void>
  all(): Promise<T[]>
}

function records<T extends { name: string }>(folder: string, schema: z.ZodType<T>): Records<T> {
  const path = (name: string) => join(folder, `${name}.json`)
  const get = async (name: string) => {
    const value = await readJson(path(name))
    return value === undefined ? undefined : schema.parse(value)
  }
  return {
    get,
    put: record => writeAtomically(path(record.name), JSON.stringify(record)),
    remove: name => removeAll(path(name)),
    async all() {
      const names = await readdir(folder).catch(() => [])
      const found = await Promise.all(names.filter(name => name.endsWith('.json')).map(name => get(name.slice(0, -5))))
      return found.filter(record => record !== undefined)
    },
  }
}

/** All that a daemon remembers: what it runs, and the names that it must never make again. */
export function hostState(dataDir: string) {
  return {
    volumes: records<VolumeState>(join(dataDir, 'state', 'volumes'), VolumeState),
    servers: records<ServerState>(join(dataDir, 'state', 'servers'), ServerState),
    deleted: records<z.infer<typeof Tombstone>>(join(dataDir, 'state', 'deleted'), Tombstone),
  }
}
export type HostState = ReturnType<typeof hostState>

/** Where the files of a volume and of a server are. */
export const volumeDir = (dataDir: string, name: string) => join(dataDir, 'volumes', name)
export const serverDir = (dataDir: string, name: string) => join(dataDir, 'servers', name)
/** Beside the server's folder: in it, the instance's uid could put a link in its place. */
export const siteFile = (dataDir: string, name: string) => join(dataDir, 'servers', `${name}.site.json`)
/** What the agent leaves in its folder when its database is stopped on purpose. */
export const stoppedFile = (dataDir: string, name: string) => join(serverDir(dataDir, name), 'stopped')
export const logFile = (dataDir: string, name: string) => join(dataDir, 'servers', `${name}.log`)
