import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import { socketQueue } from '../lib/platform/queue/socket/client.ts'
import type { Queue } from '../lib/ports/queue.ts'
import type { HostConfig } from './config.ts'

type Access = HostConfig['queue']
type SocketAccess = Extract<Access, { path: string }>
type SqsAccess = Extract<Access, { urls: unknown }>
type RabbitmqAccess = Extract<Access, { url: string }>

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
  if (isSocket(first)) {
    return socketQueue({
      clock,
      log,
      path: () => sameKind(access(), isSocket).path,
      token: async () => sameKind(access(), isSocket).token,
    })
  }
  if (isSqs(first)) {
    const { agentSqs } = await import('../lib/platform/queue/sqs/agent.ts')
    return agentSqs(first, clock, async () => ({
      access: { kind: 'sqs', ...sameKind(access(), isSqs) },
      expires: clock.now() + SQS_MS,
    }))
  }
  const { rabbitmqQueue } = await import('../lib/platform/queue/rabbitmq/queue.ts')
  return rabbitmqQueue({ clock, random, log, machine: true, access: async () => sameKind(access(), isRabbitmq) })
}

const isSocket = (access: Access): access is SocketAccess => 'path' in access
const isSqs = (access: Access): access is SqsAccess => 'urls' in access
const isRabbitmq = (access: Access): access is RabbitmqAccess => 'url' in access

function sameKind<T extends Access>(access: Access, isKind: (access: Access) => access is T): T {
  if (!isKind(access)) throw new Error('the queue is of another kind now: restart the daemon')
  return access
}
