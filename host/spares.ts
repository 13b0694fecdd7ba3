import { chown, lstat, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { initCluster } from '../lib/datastores/postgresql/engine.ts'
import type { Log, Random } from '../lib/kit/clock.ts'
import { reason } from '../lib/kit/errors.ts'
import { readJson, removeAll, writeAtomically } from '../lib/kit/files.ts'
import type { HostConfig } from './config.ts'

/** `nobody`: initdb refuses root, and uids without a passwd entry. */
const NOBODY = 65_534

/** An initialised volume that belongs to nobody yet. */
interface Spare {
  dir: string
  uid: number
}

/** Keeps initialised clusters ready, each from its own initdb: copies would share a system identifier. */
export class Spares {
  readonly #config: HostConfig
  readonly #random: Random
  readonly #log: Log
  readonly #ended = new AbortController()
  #filling: Promise<void> | undefined

  constructor(config: HostConfig, random: Random, log: Log) {
    this.#config = config
    this.#random = random
    this.#log = log
  }

  get #folder(): string {
    return join(this.#config.dataDir, 'spares')
  }

  /** Moves a new volume to `dir`, from the spares or made now; answers who owns it. */
  async take(manager: string, version: string, dir: string): Promise<number | undefined> {
    if (await exists(dir)) return this.#config.firstUid === undefined ? undefined : (await lstat(dir)).uid
    const { spare } = this.#config
    const ready = spare.manager === manager && spare.version === version ? (await this.#ready())[0] : undefined
    const taken = ready ?? (await this.#make(manager, version))
    await mkdir(join(dir, '..'), { recursive: true, mode: 0o711 })
    await rename(taken.dir, dir)
    return this.#config.firstUid === undefined ? undefined : taken.uid
  }

  /** Makes what is missing, one after the other, in the background; a new instance comes up first. */
  fill(afterMs = 0): void {
    this.#filling ??= this.#fill(afterMs)
      .catch(error => this.#log.error({ error: reason(error) }, 'no spare cluster could be made'))
      .finally(() => {
        this.#filling = undefined
      })
  }

  /** Ends the filling. */
  async close(): Promise<void> {
    this.#ended.abort()
    await this.#filling
  }

  async #fill(): Promise<void> {
    const { manager, version, count } = this.#config.spare
    while (!this.#closed && (await this.#ready()).length < count) await this.#make(manager, version)
  }

  async #ready(): Promise<Spare[]> {
    const names = (await readdir(this.#folder).catch(() => [])).filter(name => name.startsWith('ready-'))
    const found = await Promise.all(names.sort().map(name => spareAt(join(this.#folder, name))))
    return found
  }

  /** A finished cluster in the spares' folder. What a crash left half-made is swept by `sweep`. */
  async #make(manager: string, version: string): Promise<Spare> {
    const engine = this.#config.runtime.engines[manager]?.[version]
    if (!engine) throw new Error(`this host has no ${manager} ${version}`)
    const uid = await this.#nextUid()
    const id = this.#random.uuid()
    const draft = join(this.#folder, `draft-${id}`)
    await mkdir(this.#folder, { recursive: true, mode: 0o711 })
    await initCluster({ engine, dir: draft, ...(uid !== undefined && { uid: NOBODY, gid: NOBODY }) })
    if (uid !== undefined) await chownTree(draft, uid)
    const dir = join(this.#folder, `ready-${id}`)
    await rename(draft, dir)
    return spareAt(dir)
  }

  /** Removes what was being made when the daemon died. */
  async sweep(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => [])
    await Promise.all(names.filter(name => name.startsWith('draft-')).map(name => removeAll(join(this.#folder, name))))
  }

  /** A uid that no instance had; kept on disk, so that it is not given twice. */
  async #nextUid(): Promise<number | undefined> {
    const { firstUid, dataDir } = this.#config
    if (firstUid === undefined) return undefined
    const path = join(dataDir, 'state', 'uid.json')
    const last = Number((await readJson(path)) ?? firstUid - 1)
    const next = last + 1 >= firstUid + 50_000 ? firstUid : last + 1
    await writeAtomically(path, String(next))
    return next
  }
}

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  )

async function spareAt(dir: string): Promise<Spare> {
  const { uid } = await lstat(dir)
  return { dir, uid }
}

/** Gives a tree to a uid and its group, links themselves included, never what they point to. */
export async function chownTree(path: string, uid: number): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true })
  for (const entry of entries) {
    const inner = join(path, entry.name)
    if (entry.isDirectory()) await chownTree(inner, uid)
    else if (entry.isFile()) await chown(inner, uid, uid)
  }
  await chown(path, uid, uid)
}
