import type { Clock } from '../../kit/clock.ts'
import { dateOf } from '../../kit/time.ts'
import type { SqsAccess } from './queue.ts'
import { sqsQueue } from './sqs.ts'

/** The queue of an agent by its access; `fresh` gives the one in force, renewed in time. */
export function agentSqs(
  { region, endpoint, urls }: Pick<SqsAccess, 'region' | 'urls'> & { endpoint?: string | undefined },
  clock: Clock,
  fresh: () => Promise<{ access: { kind: string; credentials?: SqsAccess['credentials'] }; expires: number }>,
) {
  const credentials = async () => {
    const { access, expires } = await fresh()
    if (!access.credentials) throw new Error('the queue has moved; the agent begins anew')
    return { ...access.credentials, expiration: dateOf(expires) }
  }
  // Its queues' names are in their addresses; it may not ask for any other.
  return sqsQueue({ clock, connection: { region, ...(endpoint && { endpoint }), credentials }, prefix: '', urls })
}
