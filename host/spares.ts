import { lstat, readdir, rename } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { SerialQueue } from '../lib/kit/async/serial.ts'
import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { exists, moveInto, readJson, replaceFile } from '../lib/kit/os/files.ts'
import type { HostConfig } from './config.ts'
import { makeFolder } from './data-dir.ts'
import { engineFor } from './engines.ts'
import { giveFolder, removeFolder } from './folders.ts'
import { type Machines, machineOf } from './machines.ts'
import { freeUid, usedUids } from './uids.ts'

/** How often a volume that an instance waits for is tried to be made. */
const MAKE_TRIES = 3

/** `nobody`: an engine's programs may refuse root, and uids without a passwd entry. */
const NOBODY = 65_534

/** What an instance's uid goes through, but cannot list. */
const PASSABLE = 0o711

interface SparesParts {
  config: HostConfig
  machines: Machines
  clock: Clock
  random: Random
  log: Log
}

/** Keeps initialised volumes ready, each made on its own: copies would share an identity. */
export class Spares {
  readonly #config: HostConfig
  readonly #machines: Machines
  readonly #clock: Clock
  readonly #random: Random
  readonly #log: Log
  readonly #ended = new AbortController()
  #filling: Promise<void> | undefined
  /** Spares are taken, and uids given, one at a time: nobody gets another's. */
  readonly #queue = new SerialQueue()
  /** Uids of volumes in the making, which own nothing yet. */
  readonly #reservedUids = new Set<number>()

  constructor({ config, machines, clock, random, log }: SparesParts) {
    this.#config = config
    this.#machines = machines
    this.#clock = clock
    this.#random = random
    this.#log = log
  }

  get #folder(): string {
    return join(this.#config.dataDir, 'spares')
  }

  /**
   * Moves a new volume to `dir`, from the spares or made now. Returns the uid that owns it; undefined = the daemon's
   * own.
   */
  async take(manager: string, version: string, dir: string): Promise<number | undefined> {
    const { spare, dataDir, firstUid } = this.#config
    if (await exists(dir)) return firstUid === undefined ? undefined : (await lstat(dir)).uid
    await makeFolder(dataDir, [relative(dataDir, dirname(dir))], PASSABLE)
    const isSpare = spare.manager === manager && spare.version === version
    const spareUid = isSpare ? await this.#queue.run(() => this.#moveSpare(dir)) : undefined
    const uid = spareUid ?? (await this.#makeWithRetry(manager, version, dir))
    return firstUid === undefined ? undefined : uid
  }

  /** Tries again if something killed the engine's program; one that cannot work fails the same way each time. */
  async #makeWithRetry(manager: string, version: string, dir: string): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#make(manager, version, dir)
      } catch (error) {
        if (attempt >= MAKE_TRIES || this.#ended.signal.aborted) throw error
        this.#log.warn({ attempt, error: messageOf(error) }, 'making a volume failed')
        await removeFolder(dir)
      }
    }
  }

  /** Moves a spare to `dir`. Returns its owner, or undefined if there is none. */
  async #moveSpare(dir: string): Promise<number | undefined> {
    const [name] = await this.#readySpares()
    if (name === undefined) return undefined
    await moveInto(join(this.#folder, name), dir)
    return (await lstat(dir)).uid
  }

  /**
   * Makes the missing spares in the background, one after the other, after a pause in which a new instance comes up.
   */
  fill(afterMs = 0): void {
    this.#filling ??= this.#fill(afterMs)
      .catch(error => {
        if (!this.#ended.signal.aborted) this.#log.error({ error: messageOf(error) }, 'making a spare volume failed')
      })
      .finally(() => {
        this.#filling = undefined
      })
  }

  /** Stops the filling. */
  async close(): Promise<void> {
    this.#ended.abort()
    await this.#filling
  }

  async #fill(afterMs: number): Promise<void> {
    const { manager, version, count } = this.#config.spare
    const { signal } = this.#ended
    await this.#clock.sleep(afterMs, signal)
    while (!signal.aborted && (await this.#readySpares()).length < count) {
      await this.#make(manager, version, join(this.#folder, `ready-${this.#random.uuid()}`), signal)
    }
  }

  async #readySpares(): Promise<string[]> {
    return (await readdir(this.#folder).catch(() => [])).filter(name => name.startsWith('ready-')).sort()
  }

  /**
   * Makes a volume and moves it to `dir`. Returns its owner. With a `signal` nobody waits for it: it takes what the
   * processor has left. A failure leaves nothing; what the daemon's own death leaves half-made is removed by `sweep`.
   */
  async #make(manager: string, version: string, dir: string, signal?: AbortSignal): Promise<number> {
    const engine = await engineFor(this.#config, { manager, version }, this.#machines)
    const uid = await this.#queue.run(() => this.#nextUid())
    const draft = join(this.#folder, `draft-${this.#random.uuid()}`)
    try {
      await makeFolder(this.#config.dataDir, ['spares'], PASSABLE)
      const background = signal ? { signal, idle: true } : {}
      const owner = uid === undefined ? {} : { uid: NOBODY, gid: NOBODY }
      await machineOf(this.#machines, manager).initVolume({ engine, dir: draft, ...background, ...owner })
      if (uid !== undefined) await giveFolder(draft, uid)
      // A spare that a power loss takes back is made again.
      await (signal ? rename(draft, dir) : moveInto(draft, dir))
      return (await lstat(dir)).uid
    } catch (error) {
      // What cannot be removed now is left to `sweep`; the first error is the one to report.
      await removeFolder(draft).catch(() => undefined)
      throw error
    } finally {
      if (uid !== undefined) this.#reservedUids.delete(uid)
    }
  }

  /** Removes what was in the making when the daemon died. */
  async sweep(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => [])
    await Promise.all(
      names.filter(name => name.startsWith('draft-')).map(name => removeFolder(join(this.#folder, name))),
    )
  }

  /**
   * A uid that nobody has. The last one is stored, so that the uid of a deleted instance comes again only a round
   * later.
   */
  async #nextUid(): Promise<number | undefined> {
    const { firstUid, dataDir } = this.#config
    if (firstUid === undefined) return undefined
    const path = join(await makeFolder(dataDir, ['state']), 'uid.json')
    const last = Number((await readJson(path)) ?? firstUid - 1)
    const reserved = [...this.#reservedUids]
    const uid = freeUid(firstUid, last, new Set([...reserved, ...(await usedUids(dataDir))]))
    await replaceFile(path, String(uid))
    this.#reservedUids.add(uid)
    return uid
  }
}
