import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import type { Queue } from '../lib/platform/queue/queue.ts'
import type { Credentials } from './enrolment.ts'

type Access = Credentials['access']

export interface QueueOfOptions {
  /** Where the bus is and who comes, as known last; and renewed in time. */
  current(): Credentials
  renewed(): Promise<Credentials>
  clock: Clock
  random: Random
  log: Log
}

/** An agent waits for few messages at a time. */
const PREFETCH = 20

/** The bus as an agent reaches it; only the backend that is meant is loaded. */
export async function queueOf(kind: Access['kind'], options: QueueOfOptions): Promise<Queue> {
  const { current, renewed, ...rest } = options
  const access = async () => (await renewed()).access
  if (kind === 'sqs') {
    const { agentSqs } = await import('../lib/platform/queue/sqs-agent.ts')
    return agentSqs(of('sqs', current().access), rest.clock, renewed)
  }
  if (kind === 'rabbitmq') {
    const { rabbitmqQueue } = await import('../lib/platform/queue/rabbitmq.ts')
    return rabbitmqQueue({
      ...rest,
      machine: true,
      prefetch: PREFETCH,
      access: async () => of('rabbitmq', await access()),
    })
  }
  const { socketQueue } = await import('../lib/platform/queue/socket-client.ts')
  const path = () => of('socket', current().access).address
  return socketQueue({ ...rest, path, token: async () => of('socket', await access()).token })
}

/** An agent keeps to the kind of bus that it began with. */
function of<Kind extends Access['kind']>(kind: Kind, access: Access): Extract<Access, { kind: Kind }> {
  if (!isOf(kind, access)) throw new Error(`the bus became ${access.kind}: the agent has to be started again`)
  return access
}

const isOf = <Kind extends Access['kind']>(kind: Kind, access: Access): access is Extract<Access, { kind: Kind }> =>
  access.kind === kind
