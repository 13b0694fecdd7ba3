import type { QueueAccess, QueueAccessOf } from '../../../contracts/queue-access.ts'
import type { Clock } from '../../../kit/clock.ts'
import { toDate } from '../../../kit/time.ts'
import { sqsQueue } from './queue.ts'

/** A machine's queue. `currentAccess` gives the access in force, renewed before it expires. */
export function agentSqs(
  { region, endpoint, urls }: Pick<QueueAccessOf<'sqs'>, 'region' | 'endpoint' | 'urls'>,
  clock: Clock,
  currentAccess: () => Promise<{ access: QueueAccess; expires: number }>,
) {
  const credentials = async () => {
    const { access, expires } = await currentAccess()
    if (access.kind !== 'sqs') throw new Error('the queue has moved; the agent must restart')
    return { ...access.credentials, expiration: toDate(expires) }
  }
  // The addresses are given: the agent's credentials do not allow looking them up.
  return sqsQueue({ clock, connection: { region, ...(endpoint && { endpoint }), credentials }, prefix: '', urls })
}
