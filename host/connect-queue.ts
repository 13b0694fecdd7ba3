import { assertKind } from '../lib/contracts/queue-access.ts'
import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import { socketQueue } from '../lib/platform/queue/socket/client.ts'
import type { Queue } from '../lib/ports/queue.ts'
import type { HostConfig } from './config.ts'

interface QueueOptions {
  /** Reads the configuration file again: the credentials in it are renewed while the daemon runs. */
  readConfig(): HostConfig
  clock: Clock
  random: Random
  log: Log
}

/** How long credentials for SQS are used before the file is read again. */
const SQS_MS = 60_000

/** The queue as a host daemon reaches it. Only the backend in use is loaded. */
export async function connectQueue({ readConfig, clock, random, log }: QueueOptions): Promise<Queue> {
  const access = () => readConfig().queue
  const first = access()
  if (first.kind === 'sqs') {
    const { agentSqs } = await import('../lib/platform/queue/sqs/agent.ts')
    return agentSqs(first, clock, async () => ({
      access: assertKind('sqs', access()),
      expires: clock.now() + SQS_MS,
    }))
  }
  if (first.kind === 'rabbitmq') {
    const { rabbitmqQueue } = await import('../lib/platform/queue/rabbitmq/queue.ts')
    return rabbitmqQueue({ clock, random, log, machine: true, access: async () => assertKind('rabbitmq', access()) })
  }
  return socketQueue({
    clock,
    log,
    path: () => assertKind('socket', access()).address,
    token: async () => assertKind('socket', access()).token,
  })
}
