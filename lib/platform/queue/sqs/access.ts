import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts'
import type { QueueAccessOf } from '../../../contracts/queue-access.ts'
import type { Clock } from '../../../kit/clock.ts'
import type { Grant } from '../../../ports/queue.ts'
import { type AwsConnection, clientOptions, lazyClient } from '../../aws/connection.ts'

/** The AWS account of the queues, and how they are named. */
interface SqsAccount {
  /** Default `aws`; different in China and in government clouds. */
  partition?: string
  region: string
  account: string
  prefix: string
  /** On AWS the right to a call includes its batch form; the emulator checks the batch call's own name. */
  emulated?: boolean
}

interface SqsAccessOptions {
  clock: Clock
  connection: AwsConnection & { region: string }
  place: SqsAccount
  /** The role that all agents' sessions assume. */
  role: string
  /** The address of a topic's queue. */
  address(topic: string): Promise<string>
}

/** What an agent may do on its own topic; it cannot create, remove or look up queues. */
const RECEIVE = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility']
const SEND = ['sqs:SendMessage']
/** The session tag that the role's own policy refers to. */
export const TOPIC_TAG = 'coffer-topic'
/** STS's bounds of a session. A role that was itself assumed (a function's) gives at most an hour. */
const [MIN_SESSION_S, MAX_SESSION_S] = [900, 3_600]
const MAX_SESSION_NAME = 64

interface Statement {
  Effect: 'Allow'
  Action: string[]
  Resource: string[]
}

interface PolicyDocument {
  Version: '2012-10-17'
  Statement: Statement[]
}

/** The policy of one session: exactly what the grant allows. Throws RangeError for an invalid topic. */
export function sessionPolicy(place: SqsAccount, { receive, send }: Pick<Grant, 'receive' | 'send'>): PolicyDocument {
  return policy(
    place,
    receive.map(topic => arn(place, checkedTopic(topic))),
    send.map(topic => arn(place, checkedTopic(topic))),
  )
}

/**
 * The policy of the role itself, for the deployment: a session's own topic by its tag, and the topics that all agents
 * send to. A session is allowed what both policies allow.
 */
export function rolePolicy(place: SqsAccount, send: string[]): PolicyDocument {
  const taggedTopic = `\${aws:PrincipalTag/${TOPIC_TAG}}`
  return policy(
    place,
    [arn(place, taggedTopic)],
    send.map(topic => arn(place, checkedTopic(topic))),
  )
}

function policy({ emulated }: SqsAccount, receive: string[], send: string[]): PolicyDocument {
  const withBatches = (actions: string[]) =>
    emulated ? actions.flatMap(action => [action, `${action}Batch`]) : actions
  return {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: withBatches(RECEIVE), Resource: receive },
      { Effect: 'Allow', Action: withBatches(SEND), Resource: send },
    ],
  }
}

const arn = ({ partition = 'aws', region, account, prefix }: SqsAccount, topic: string): string =>
  `arn:${partition}:sqs:${region}:${account}:${prefix}${topic}`

/** The topic, checked so that it cannot widen a policy. */
function checkedTopic(topic: string): string {
  if (!/^[A-Za-z0-9_-]{1,80}$/.test(topic)) throw new RangeError(`not a topic: ${topic.slice(0, 100)}`)
  return topic
}

type SqsAccess = QueueAccessOf<'sqs'>

/** Gives access by assuming the agents' role. A grant has exactly one topic to receive from, else RangeError. */
export function sqsAccess(options: SqsAccessOptions): { access(grant: Grant): Promise<SqsAccess>; close(): void } {
  const { clock, connection, place, role, address } = options
  const client = lazyClient(() => new STSClient(clientOptions(connection)))

  async function access(grant: Grant): Promise<SqsAccess> {
    const [topic, ...others] = grant.receive
    if (topic === undefined || others.length > 0) throw new RangeError('a grant on SQS has one topic to receive from')
    const seconds = Math.floor((grant.expires - clock.now()) / 1_000)
    const { Credentials } = await client.get().send(
      new AssumeRoleCommand({
        RoleArn: role,
        RoleSessionName: checkedTopic(topic).slice(0, MAX_SESSION_NAME),
        DurationSeconds: Math.min(Math.max(seconds, MIN_SESSION_S), MAX_SESSION_S),
        Policy: JSON.stringify(sessionPolicy(place, grant)),
        Tags: [{ Key: TOPIC_TAG, Value: topic }],
      }),
    )
    const topics = [...grant.receive, ...grant.send]
    const urls = await Promise.all(topics.map(async topic => [topic, await address(topic)] as const))
    const { region, endpoint } = connection
    return {
      kind: 'sqs',
      region,
      ...(endpoint && { endpoint }),
      urls: Object.fromEntries(urls),
      credentials: {
        accessKeyId: Credentials!.AccessKeyId!,
        secretAccessKey: Credentials!.SecretAccessKey!,
        sessionToken: Credentials!.SessionToken!,
      },
    }
  }

  return { access, close: () => client.destroy() }
}
