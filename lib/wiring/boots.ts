import type { Clock, Log } from '../kit/clock.ts'
import { reason } from '../kit/errors.ts'
import { kind } from '../kit/records.ts'
import type { Store } from '../platform/store/store.ts'

/** Which processes of the control plane live: each keeps a record that ends soon after it does. */
export interface Boots {
  /** False only for a boot that was looked for and is not there. */
  isLive(boot: string): boolean
  /** Tells, once all processes must know it, that a boot was there and is no more. */
  onEnd(tell: () => Promise<void>): void
  /** Takes this process's record away. */
  close(): Promise<void>
}

/** A record outlives three looks that failed. */
const KEPT_MS = 30_000
const LOOK_MS = 5_000
const MOST = 1_000

const boots = kind<{ at: number }>('boot')

/** Writes this boot's record before it resolves: nobody meets a lease of a boot that is not yet there. */
export async function watchedBoots(options: { store: Store; clock: Clock; log: Log; boot: string }): Promise<Boots> {
  const { store, clock, log, boot } = options
  const stopping = new AbortController()
  let live = new Set<string>()
  /** Asked for since the last look, or not found by it: by when it was asked for first. */
  const missed = new Map<string, number>()
  let looked = 0
  let tellEnd: (() => Promise<void>) | undefined

  async function look(): Promise<void> {
    const now = clock.now()
    const body = { at: now }
    await store.transact([{ op: 'put', key: boots.key('*', boot), body, expires: now + KEPT_MS }])
    const { items } = await boots.all(store, { limit: MOST })
    const found = new Set(items.map(({ key }) => key.id.slice('boot#'.length)))
    const ended = [...live].filter(known => !found.has(known))
    live = found
    looked = now
    for (const known of ended) missed.set(known, Number.NEGATIVE_INFINITY)
    for (const known of found) missed.delete(known)
    if (ended.length > 0) void told()
  }

  /** Not before all other processes have looked, too. */
  async function told(): Promise<void> {
    await clock.sleep(2 * LOOK_MS, stopping.signal)
    if (stopping.signal.aborted) return
    await tellEnd?.().catch(error => log.warn({ error: reason(error) }, 'the end of a boot was not told'))
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await clock.sleep(LOOK_MS, stopping.signal)
      if (stopping.signal.aborted) return
      await look().catch(error => log.warn({ error: reason(error) }, 'the boots could not be looked at'))
    }
  }

  await look()
  const running = run()
  return {
    isLive(other) {
      if (other === boot || live.has(other)) return true
      const since = missed.get(other) ?? clock.now()
      missed.set(other, since)
      // A look that began after somebody asked would have found it.
      return looked <= since
    },
    onEnd(tell) {
      tellEnd = tell
    },
    async close() {
      stopping.abort()
      await running
      await store.transact([{ op: 'delete', key: boots.key('*', boot) }])
    },
  }
}
