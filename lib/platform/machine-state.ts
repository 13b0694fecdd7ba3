import { TerminalError } from '../kit/errors.ts'
import { recordType, renameFields, upgradeField, withOptimisticRetry } from '../kit/records.ts'
import type { MachineState } from '../ports/compute.ts'
import type { Store } from '../ports/store.ts'
import { instanceSubject } from './instance-subject.ts'

/** The state of a server or a volume, as last reported by its host. */
interface MachineStateRecord {
  state: MachineState
  /** The report's sequence number; an older report changes nothing. */
  sequence: number
  instance: string
}

/** Machine states by the deterministic name of the server or volume. */
export const machineStates = recordType<MachineStateRecord>('machine', body =>
  upgradeField(renameFields(body, { facts: 'state', sent: 'sequence' }), 'state', state =>
    renameFields(state, { wish: 'changeId' }),
  ),
)

/** How long the GONE of a removed part is kept, so that a late report cannot bring the part back. */
const GONE_RETENTION_MS = 3_600_000

/** Records a report; false if a newer one, or GONE, is recorded already. */
export async function recordState(
  store: Store,
  now: number,
  report: { project: string; instance: string; name: string; state: MachineState; sequence: number },
): Promise<boolean> {
  const { project, instance, name, state, sequence } = report
  const isGone = state.status === 'GONE'
  return withOptimisticRetry(store, async () => {
    const previous = await machineStates.get(store, project, name)
    if (previous && (previous.body.state.status === 'GONE' || previous.body.sequence >= sequence))
      return { changes: [], result: false }
    const body = { state, sequence, instance }
    const indexed = isGone ? { expires: now + GONE_RETENTION_MS } : { subject: instanceSubject(instance) }
    const change = previous
      ? machineStates.replace(previous, body, { subject: undefined, ...indexed })
      : machineStates.create(project, name, body, indexed)
    return { changes: [change], result: true }
  })
}

/** Records that a part is gone with its machine: no report of it will follow. */
export async function recordGone(
  store: Store,
  now: number,
  { project, instance, name }: { project: string; instance: string; name: string },
): Promise<void> {
  const state = { status: 'GONE' } as const
  await recordState(store, now, { project, instance, name, state, sequence: Number.MAX_SAFE_INTEGER })
}

/** Whether the machine part is there and works. Throws TerminalError if it never will be. */
export function isActive(state: MachineState | undefined): boolean {
  if (state?.status === 'ERROR') throw new TerminalError(state.fault ?? 'The machine could not be made.')
  return state?.status === 'ACTIVE'
}
