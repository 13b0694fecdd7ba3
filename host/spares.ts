import { chown, lstat, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { initCluster } from '../lib/datastores/postgresql/engine.ts'
import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import { reason } from '../lib/kit/errors.ts'
import { readJson, removeAll, writeAtomically } from '../lib/kit/files.ts'
import type { HostConfig } from './config.ts'
import { engineFor } from './engines.ts'
import { freeUid, takenUids } from './uids.ts'

/** How often a cluster that an instance waits for is tried to be made. */
const MAKE_TRIES = 3

/** `nobody`: initdb refuses root, and uids without a passwd entry. */
const NOBODY = 65_534

export interface SparesParts {
  config: HostConfig
  clock: Clock
  random: Random
  log: Log
}

/** Keeps initialised clusters ready, each from its own initdb: copies would share a system identifier. */
export class Spares {
  readonly #config: HostConfig
  readonly #clock: Clock
  readonly #random: Random
  readonly #log: Log
  readonly #ended = new AbortController()
  #filling: Promise<void> | undefined
  /** Spares are taken, and uids given, one at a time: nobody gets another's. */
  #turn: Promise<unknown> = Promise.resolve()
  /** Uids of what is being made, which own nothing yet. */
  readonly #given = new Set<number>()

  constructor({ config, clock, random, log }: SparesParts) {
    this.#config = config
    this.#clock = clock
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
    await mkdir(join(dir, '..'), { recursive: true, mode: 0o711 })
    const isSpare = spare.manager === manager && spare.version === version
    const taken = isSpare ? await this.#inTurn(() => this.#moved(dir)) : undefined
    const uid = taken ?? (await this.#patiently(manager, version, dir))
    return this.#config.firstUid === undefined ? undefined : uid
  }

  /** An initdb that something ended is tried again; one that cannot work fails the same way each time. */
  async #patiently(manager: string, version: string, dir: string): Promise<number | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#make(manager, version, dir)
      } catch (error) {
        if (attempt >= MAKE_TRIES || this.#ended.signal.aborted) throw error
        this.#log.warn({ attempt, error: reason(error) }, 'a cluster could not be made')
        await removeAll(dir)
      }
    }
  }

  /** Moves the oldest spare to `dir`; answers its owner, or undefined if there is none. */
  async #moved(dir: string): Promise<number | undefined> {
    const [name] = await this.#ready()
    if (name === undefined) return undefined
    await rename(join(this.#folder, name), dir)
    return (await lstat(dir)).uid
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  /** Makes what is missing, one after the other, in the background; a new instance comes up first. */
  fill(afterMs = 0): void {
    this.#filling ??= this.#fill(afterMs)
      .catch(error => {
        if (!this.#ended.signal.aborted) this.#log.error({ error: reason(error) }, 'no spare cluster could be made')
      })
      .finally(() => {
        this.#filling = undefined
      })
  }

  /** Ends the filling. */
  async close(): Promise<void> {
    this.#ended.abort()
    await this.#filling
  }

  async #fill(afterMs: number): Promise<void> {
    const { manager, version, count } = this.#config.spare
    const { signal } = this.#ended
    await this.#clock.sleep(afterMs, signal)
    while (!signal.aborted && (await this.#ready()).length < count) {
      await this.#make(manager, version, join(this.#folder, `ready-${this.#random.uuid()}`), signal)
    }
  }

  async #ready(): Promise<string[]> {
    return (await readdir(this.#folder).catch(() => [])).filter(name => name.startsWith('ready-')).sort()
  }

  /**
   * Makes a cluster and moves it to `dir`; answers its owner. With a `signal` nobody waits for it: it takes what the
   * processor has left. A failure leaves nothing; what the daemon's own death leaves half-made is swept by `sweep`.
   */
  async #make(manager: string, version: string, dir: string, signal?: AbortSignal): Promise<number> {
    const engine = await engineFor(this.#config, { manager, version })
    const uid = await this.#inTurn(() => this.#nextUid())
    const id = this.#random.uuid()
    const draft = join(this.#folder, `draft-${id}`)
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o711 })
      const background = signal ? { signal, idle: true } : {}
      await initCluster({ engine, dir: draft, ...background, ...(uid !== undefined && { uid: NOBODY, gid: NOBODY }) })
      if (uid !== undefined) await chownTree(draft, uid)
      await rename(draft, dir)
      return (await lstat(dir)).uid
    } catch (error) {
      // What cannot be removed now is left to `sweep`; the first reason is the one to tell.
      await removeAll(draft).catch(() => undefined)
      throw error
    } finally {
      if (uid !== undefined) this.#given.delete(uid)
    }
  }

  /** Removes what was being made when the daemon died. */
  async sweep(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => [])
    await Promise.all(names.filter(name => name.startsWith('draft-')).map(name => removeAll(join(this.#folder, name))))
  }

  /** A uid that nobody has; the last is kept on disk, so that one of a deleted instance comes again only a round later. */
  async #nextUid(): Promise<number | undefined> {
    const { firstUid, dataDir } = this.#config
    if (firstUid === undefined) return undefined
    const path = join(dataDir, 'state', 'uid.json')
    const last = Number((await readJson(path)) ?? firstUid - 1)
    const making = [...this.#given]
    const uid = freeUid(firstUid, last, new Set([...making, ...(await takenUids(dataDir))]))
    await writeAtomically(path, String(uid))
    this.#given.add(uid)
    return uid
  }
}

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  )

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
