import { DatabaseSync } from 'node:sqlite'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Clock } from '../../../kit/clock.ts'

/**
 * Checkpoints an SQLite file's log in a thread of its own: it waits for the disk, which the serving thread must not.
 */
export interface Checkpoints {
  /** Counts written records; every 2,000 of them a checkpoint starts. */
  written(records: number): void
  /** Ends the thread after the checkpoint under way. */
  close(): Promise<void>
}

/** About 16 MB of log. */
const EVERY_RECORDS = 2_000
/** An idle thread still holds memory, so it ends after this long. */
const IDLE_MS = 5_000
/** A checkpoint is repeated for what was written in the meantime, up to this often, until so few pages are left. */
const MAX_PASSES = 4
const FEW_PAGES = 500
/** From 64 MB on, the writer itself checkpoints a log that goes on growing, and waits for the disk. */
const LARGE_PAGES = 16_000

/** `db` must be the only writer of the file at `path`. */
export function checkpoints(db: DatabaseSync, path: string, clock: Clock): Checkpoints {
  let records = 0
  let isBusy = false
  let thread: { worker: Worker; ended: Promise<void> } | undefined
  let idleTimer = new AbortController()

  function start(): { worker: Worker; ended: Promise<void> } {
    const worker = new Worker(new URL(import.meta.url), { workerData: path })
    worker.unref()
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    const current = { worker, ended }
    worker.on('message', pages => finish(Number(pages)))
    // If it fails, the next thread checkpoints or, once the log has grown, the writer itself.
    worker.on('error', () => {})
    worker.once('exit', () => {
      if (thread === current) thread = undefined
      isBusy = false
      resolve()
    })
    return current
  }

  /** SQLite restarts a fully checkpointed log by itself; while writes never pause, only the writer can do that. */
  function finish(pages: number): void {
    isBusy = false
    if (db.isOpen && pages >= LARGE_PAGES) tryCheckpoint(db)
    idleTimer = new AbortController()
    void clock.sleep(IDLE_MS, idleTimer.signal).then(() => {
      if (!idleTimer.signal.aborted) thread?.worker.postMessage('close')
    })
  }

  return {
    written(count) {
      records += count
      if (records < EVERY_RECORDS || isBusy) return
      isBusy = true
      records = 0
      idleTimer.abort('busy')
      thread ??= start()
      thread.worker.postMessage('checkpoint')
    },
    async close() {
      idleTimer.abort('closed')
      thread?.worker.postMessage('close')
      await thread?.ended
    },
  }
}

/** Moves what it can from the log to the database. With a full disk that fails, and the log remains. */
export function tryCheckpoint(db: DatabaseSync): void {
  try {
    db.exec('PRAGMA wal_checkpoint(PASSIVE)')
  } catch {
    // Nothing is lost: the next one tries again.
  }
}

if (!isMainThread && parentPort && typeof workerData === 'string') runThread(workerData, parentPort)

function runThread(path: string, port: NonNullable<typeof parentPort>): void {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA synchronous = NORMAL')
  port.on('message', message => {
    if (message === 'close') {
      db.close()
      return port.close()
    }
    port.postMessage(checkpoint(db))
  })
}

/** Checkpoints until little is left; returns the pages of the log. */
function checkpoint(db: DatabaseSync): number {
  const passive = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  let done = 0
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const { log } = passive.get() as { log: number }
    if (log - done < FEW_PAGES) return log
    done = log
  }
  return done
}
