import type { EnrolAnswer } from '../lib/contracts/enrol.ts'
import { assertKind } from '../lib/contracts/queue-access.ts'
import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import type { Queue } from '../lib/ports/queue.ts'

interface QueueOptions {
  /** The credentials in use: where the queue is, and who connects. */
  current(): EnrolAnswer
  /** The same, renewed in time. */
  fresh(): Promise<EnrolAnswer>
  clock: Clock
  random: Random
  log: Log
}

/** An agent waits for few messages at a time. */
const PREFETCH = 20

/** The queue as an agent reaches it. Only the backend in use is loaded. */
export async function connectQueue({ current, fresh, clock, random, log }: QueueOptions): Promise<Queue> {
  const { kind } = current().access
  if (kind === 'sqs') {
    const { agentSqs } = await import('../lib/platform/queue/sqs/agent.ts')
    return agentSqs(assertKind('sqs', current().access), clock, fresh)
  }
  if (kind === 'rabbitmq') {
    const { rabbitmqQueue } = await import('../lib/platform/queue/rabbitmq/queue.ts')
    const access = async () => assertKind('rabbitmq', (await fresh()).access)
    return rabbitmqQueue({ clock, random, log, machine: true, prefetch: PREFETCH, access })
  }
  const { socketQueue } = await import('../lib/platform/queue/socket/client.ts')
  const path = () => assertKind('socket', current().access).address
  const token = async () => assertKind('socket', (await fresh()).access).token
  return socketQueue({ clock, log, path, token })
}
