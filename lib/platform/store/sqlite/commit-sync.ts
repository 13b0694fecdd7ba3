import { closeSync, fdatasync, fdatasyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { syncFolderSync } from '../../../kit/os/files.ts'
import type { Key } from '../../../ports/store.ts'

/** Writes to the disk what an open file has in the system's memory. */
export type Sync = (fd: number) => Promise<void>

/** Commits that one sync covers. */
interface Batch {
  records: Set<string>
  /** Rejects if the sync failed. */
  synced: Promise<void>
  settle(error?: Error): void
}

/**
 * Syncs the log of an SQLite file after commits, outside of SQLite: its own sync would block all requests, once for
 * each commit. A commit waits for a sync that began after it, together with all others that did meanwhile.
 */
export class CommitSync {
  readonly #fd: number
  readonly #sync: Sync
  /** After a failure both stay as they are: nobody knows what the disk has of them. */
  #running: Batch | undefined
  #next: Batch | undefined
  #failure: Error | undefined
  #isClosed = false

  /** The file at `path` must be open in WAL mode, and must have been read, so that its log exists. */
  constructor(path: string, sync: Sync = promisify(fdatasync)) {
    this.#sync = sync
    this.#fd = openSync(`${path}-wal`, 'r+')
    // What a killed process committed is read from now on, so it has to be on the disk, and so has the file's name.
    fdatasyncSync(this.#fd)
    syncFolderSync(dirname(path))
  }

  /** Throws once a sync has failed: the system drops what it could not write, so a later sync would prove nothing. */
  assertUsable(): void {
    if (this.#failure) throw this.#failure
  }

  /** Call it right after a commit. Ends when the commit is on the disk. */
  committed(keys: Key[]): Promise<void> {
    this.#next ??= newBatch()
    for (const key of keys) this.#next.records.add(nameOf(key))
    const { synced } = this.#next
    if (!this.#running) void this.#run()
    return synced
  }

  /** The sync of the last commit that changed the record; undefined if it is on the disk. */
  ofRecord(key: Key): Promise<void> | undefined {
    const name = nameOf(key)
    return [this.#next, this.#running].find(batch => batch?.records.has(name))?.synced
  }

  /** Ends when everything that is committed is on the disk. */
  ofAll(): Promise<void> | undefined {
    return (this.#next ?? this.#running)?.synced
  }

  /** Waits for the syncs under way. */
  async close(): Promise<void> {
    while (!this.#failure && this.ofAll()) await this.ofAll()?.catch(() => {})
    if (!this.#isClosed) closeSync(this.#fd)
    this.#isClosed = true
  }

  async #run(): Promise<void> {
    while (this.#next) {
      const batch = this.#next
      this.#running = batch
      this.#next = undefined
      try {
        await this.#sync(this.#fd)
      } catch (error) {
        return this.#fail(error)
      }
      this.#running = undefined
      batch.settle()
    }
  }

  #fail(cause: unknown): void {
    this.#failure = new Error(`the store could not be synced, restart it: ${String(cause)}`, { cause })
    for (const batch of [this.#running, this.#next]) batch?.settle(this.#failure)
  }
}

function newBatch(): Batch {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  return { records: new Set(), synced: promise, settle: error => (error ? reject(error) : resolve()) }
}

const nameOf = ({ project, id }: Key) => `${project}/${id}`
