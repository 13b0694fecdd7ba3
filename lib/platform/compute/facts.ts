import { kind, retrying } from '../../kit/records.ts'
import type { Store } from '../store/store.ts'
import type { Facts } from './compute.ts'

/** What a host reported last of a server or a volume. */
export interface Observed {
  facts: Facts
  /** Of the report that told it; an older report changes nothing. */
  sent: number
  instance: string
}

/** Observations by the machine part's deterministic name. */
export const observations = kind<Observed>('machine')

/** How long the GONE of a removed part is remembered, so that a late report cannot bring it back. */
const TOMBSTONE_MS = 3_600_000

/** Records a report; false if a newer one (or GONE) is known. */
export async function observe(
  store: Store,
  now: number,
  report: { project: string; instance: string; name: string; facts: Facts; sent: number },
): Promise<boolean> {
  const { project, instance, name, facts, sent } = report
  const gone = facts.status === 'GONE'
  return retrying(store, async () => {
    const known = await observations.get(store, project, name)
    if (known && (known.body.facts.status === 'GONE' || known.body.sent >= sent)) return { changes: [], result: false }
    const body = { facts, sent, instance }
    const indexed = gone ? { expires: now + TOMBSTONE_MS } : { instance }
    const change = known
      ? observations.replace(known, body, { instance: undefined, ...indexed })
      : observations.create(project, name, body, indexed)
    return { changes: [change], result: true }
  })
}
