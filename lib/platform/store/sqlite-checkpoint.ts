import { DatabaseSync } from 'node:sqlite'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Clock } from '../../kit/clock.ts'

/** Has a thread put the log of an SQLite file in place: it waits for the disk, which who serves must not. */
export interface Checkpoints {
  /** Tells that so many records were written; now and then, the log is put in place for it. */
  written(records: number): void
  /** Ends the thread, once it has finished what it is at. */
  close(): Promise<void>
}

/** About 16 MB of log. */
const EVERY_RECORDS = 2_000
/** A thread that has nothing to do holds memory: it ends after so long. */
const IDLE_MS = 5_000
/** What was written meanwhile is put in place too, until it is so little that the writer can do the last part. */
const PASSES = 4
const LITTLE_PAGES = 500
/** From 64 MB on, a log that goes on growing is begun anew by the writer, who waits for the disk then. */
const LARGE_PAGES = 16_000

/** `db` is the only writer of the file at `path`. */
export function checkpoints(db: DatabaseSync, path: string, clock: Clock): Checkpoints {
  let records = 0
  let busy = false
  let thread: { worker: Worker; ended: Promise<void> } | undefined
  let resting = new AbortController()

  function start(): { worker: Worker; ended: Promise<void> } {
    const worker = new Worker(new URL(import.meta.url), { workerData: path })
    worker.unref()
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    const started = { worker, ended }
    worker.on('message', pages => finish(Number(pages)))
    // Whatever happens to it, the next one puts the log in place, or, when it has grown, the store itself.
    worker.on('error', () => {})
    worker.once('exit', () => {
      if (thread === started) thread = undefined
      busy = false
      resolve()
    })
    return started
  }

  /** A log of which nothing is left begins anew by itself; while there is always more, only the writer can see to it. */
  function finish(pages: number): void {
    busy = false
    if (db.isOpen && pages >= LARGE_PAGES) db.exec('PRAGMA wal_checkpoint(PASSIVE)')
    resting = new AbortController()
    void clock.sleep(IDLE_MS, resting.signal).then(() => {
      if (!resting.signal.aborted) thread?.worker.postMessage('close')
    })
  }

  return {
    written(count) {
      records += count
      if (records < EVERY_RECORDS || busy) return
      busy = true
      records = 0
      resting.abort('busy')
      thread ??= start()
      thread.worker.postMessage('checkpoint')
    },
    async close() {
      resting.abort('closed')
      thread?.worker.postMessage('close')
      await thread?.ended
    },
  }
}

if (!isMainThread && parentPort && typeof workerData === 'string') work(workerData, parentPort)

function work(path: string, port: NonNullable<typeof parentPort>): void {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA synchronous = NORMAL')
  port.on('message', message => {
    if (message === 'close') {
      db.close()
      return port.close()
    }
    port.postMessage(putInPlace(db))
  })
}

/** Answers the pages of the log. */
function putInPlace(db: DatabaseSync): number {
  const passive = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  let before = 0
  for (let pass = 0; pass < PASSES; pass++) {
    const { log } = passive.get() as { log: number }
    if (log - before < LITTLE_PAGES) return log
    before = log
  }
  return before
}
