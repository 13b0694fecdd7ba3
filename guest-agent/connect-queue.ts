import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import type { Queue } from '../lib/ports/queue.ts'
import type { Credentials } from './enrolment.ts'

type Access = Credentials['access']
type AccessOf<Kind extends Access['kind']> = Extract<Access, { kind: Kind }>

interface QueueOptions {
  /** The credentials in use: where the queue is, and who connects. */
  current(): Credentials
  /** The same, renewed in time. */
  fresh(): Promise<Credentials>
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
    return agentSqs(sameKind('sqs', current().access), clock, fresh)
  }
  if (kind === 'rabbitmq') {
    const { rabbitmqQueue } = await import('../lib/platform/queue/rabbitmq/queue.ts')
    const access = async () => sameKind('rabbitmq', (await fresh()).access)
    return rabbitmqQueue({ clock, random, log, machine: true, prefetch: PREFETCH, access })
  }
  const { socketQueue } = await import('../lib/platform/queue/socket/client.ts')
  const path = () => sameKind('socket', current().access).address
  const token = async () => sameKind('socket', (await fresh()).access).token
  return socketQueue({ clock, log, path, token })
}

/** An agent keeps the kind of queue that it started with. */
function sameKind<Kind extends Access['kind']>(kind: Kind, access: Access): AccessOf<Kind> {
  if (!isKind(kind, access)) throw new Error(`the queue is of another kind now (${access.kind}): restart the agent`)
  return access
}

const isKind = <Kind extends Access['kind']>(kind: Kind, access: Access): access is AccessOf<Kind> =>
  access.kind === kind
