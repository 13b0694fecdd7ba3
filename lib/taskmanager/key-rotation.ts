import { messageOf } from '../kit/errors.ts'
import { recordType } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import { Conflict, type Item } from '../ports/store.ts'
import { KINDS_WITH_KEYS } from './key-users.ts'

/** How far all records have moved to one current master key. Times are in milliseconds since the epoch. */
interface KeyRotation {
  /** The key that they move to. */
  kid: string
  /** When `periodic` first saw that key as the current one. */
  since: number
  /** The pass over all records that is under way, or begins at `started`. */
  pass: { started: number; kind: number; after?: string; left: number }
  /** How many records the last pass left with another key; missing until a pass counts. */
  remaining?: number
}

/** There is one: with another current key it begins anew. */
const rotations = recordType<KeyRotation>('key-rotation')
const ID = 'current'

const PAGE = 100
/** What one run may do, in moves of a stored record. */
const RUN_COST = 1_000
/** The longest request: what it encrypts at its beginning may be written at its end. */
const REQUEST_MS = 30_000
/** How soon the next pass follows: if records are left, and to find what a process wrote that still had the old key. */
const NEXT_PASS_MS = { left: 10_000, none: 600_000 }

/**
 * Encrypts stored secrets with the current master key, and has agents renew their keys: a bounded number of records in
 * each call. Does nothing while there is one master key only.
 */
export async function rotateKeys(platform: Platform): Promise<void> {
  const { keys, store, clock } = platform
  if ((await keys.ids()).length < 2) return
  const kid = await keys.currentId()
  const now = clock.now()
  const item = await rotations.get(store, '*', ID)
  const beginning: KeyRotation = { kid, since: now, pass: { started: now, kind: 0, left: 0 } }
  const rotation = item?.body.kid === kid ? item.body : beginning
  if (rotation.pass.started > now) return
  const next = await advancePass(platform, rotation)
  try {
    await store.transact([item ? rotations.replace(item, next) : rotations.create('*', ID, next)])
  } catch (error) {
    // Another process has done the same records.
    if (!(error instanceof Conflict)) throw error
    return
  }
  const { remaining } = next
  if (remaining !== undefined && remaining !== rotation.remaining) {
    platform.log.info({ key: kid, remaining }, 'records with an older master key')
  }
}

/** The current master key's id, and how many records are left with another one; undefined if that is not counted. */
export async function keyProgress({
  keys,
  store,
}: Pick<Platform, 'keys' | 'store'>): Promise<{ key: string; remaining: number } | undefined> {
  if ((await keys.ids()).length < 2) return undefined
  const key = await keys.currentId()
  const { kid, remaining } = (await rotations.get(store, '*', ID))?.body ?? {}
  return kid !== key || remaining === undefined ? undefined : { key, remaining }
}

async function advancePass(platform: Platform, rotation: KeyRotation): Promise<KeyRotation> {
  let { pass } = rotation
  for (let budget = RUN_COST; budget > 0; ) {
    const kind = KINDS_WITH_KEYS[pass.kind]
    if (!kind) return endPass(platform, { ...rotation, pass })
    const limit = Math.min(PAGE, Math.ceil(budget / kind.cost))
    const { items, next } = await kind.page(platform.store, { limit, ...(pass.after && { after: pass.after }) })
    budget -= Math.max(1, items.length * kind.cost)
    let { left } = pass
    for (const item of items) if (!(await hasMoved(platform, item, () => kind.move(platform, item, rotation)))) left++
    const { started } = pass
    pass = next === undefined ? { started, kind: pass.kind + 1, left } : { started, kind: pass.kind, after: next, left }
  }
  return { ...rotation, pass }
}

/** A record that changed meanwhile, or whose move failed, has its turn in the next pass: it holds up no other. */
async function hasMoved({ log }: Platform, { key }: Item, move: () => Promise<boolean>): Promise<boolean> {
  try {
    return await move()
  } catch (error) {
    if (!(error instanceof Conflict))
      log.warn({ record: key.id, error: messageOf(error) }, 'record keeps its master key')
    return false
  }
}

/** What an earlier pass left does not count: other processes may have used the old key meanwhile. */
function endPass({ clock, keys }: Platform, { kid, since, pass, ...rest }: KeyRotation): KeyRotation {
  const countsFrom = since + keys.spreadMs + REQUEST_MS
  const counts = pass.started >= countsFrom
  const pause = pass.left > 0 ? NEXT_PASS_MS.left : NEXT_PASS_MS.none
  const started = counts ? clock.now() + pause : Math.max(countsFrom, clock.now())
  const remaining = counts ? pass.left : rest.remaining
  return { kid, since, pass: { started, kind: 0, left: 0 }, ...(remaining !== undefined && { remaining }) }
}
