import type { Clock } from '../../../kit/clock.ts'
import { toDate } from '../../../kit/time.ts'
import type { SqsAccess } from '../../../ports/queue.ts'
import { sqsQueue } from './queue.ts'

/** An agent's queue. `currentAccess` gives the access in force, renewed before it expires. */
export function agentSqs(
  { region, endpoint, urls }: Pick<SqsAccess, 'region' | 'urls'> & { endpoint?: string | undefined },
  clock: Clock,
  currentAccess: () => Promise<{ access: { kind: string; credentials?: SqsAccess['credentials'] }; expires: number }>,
) {
  const credentials = async () => {
    const { access, expires } = await currentAccess()
    if (!access.credentials) throw new Error('the queue has moved; the agent must restart')
    return { ...access.credentials, expiration: toDate(expires) }
  }
  // The addresses are given: the agent's credentials do not allow looking them up.
  return sqsQueue({ clock, connection: { region, ...(endpoint && { endpoint }), credentials }, prefix: '', urls })
}
