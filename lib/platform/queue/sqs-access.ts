import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts'
import type { Clock } from '../../kit/clock.ts'
import { type AwsConnection, clientOptions, onUse } from '../aws.ts'
import type { Grant, SqsAccess } from './queue.ts'

/** Where the queues are, and how they are named. */
export interface SqsPlace {
  /** `aws`, unless in China or a government's cloud. */
  partition?: string
  region: string
  account: string
  prefix: string
  /** On AWS the right to a call is one to its batches; the emulator goes by the names of the calls. */
  emulated?: boolean
}

export interface SqsAccessOptions {
  clock: Clock
  connection: AwsConnection & { region: string }
  place: SqsPlace
  /** The one role of all agents. */
  role: string
  /** A topic's address, as SQS gave it. */
  address(topic: string): Promise<string>
}

/** What an agent may do on its own topic; it makes, removes and asks for nothing. */
const OWN = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility']
const SEND = ['sqs:SendMessage']
/** The session's tag that the role's own policy goes by. */
export const TOPIC_TAG = 'coffer-topic'
/** STS's bounds of a session; a role that was itself assumed (a function's) may give at most an hour. */
const [SHORTEST_S, LONGEST_S] = [900, 3_600]
const MAX_NAME = 64

interface Statement {
  Effect: 'Allow'
  Action: string[]
  Resource: string[]
}

export interface PolicyDocument {
  Version: '2012-10-17'
  Statement: Statement[]
}

/** The policy of one session: what the grant says and nothing else. Throws RangeError for a topic that is no plain name. */
export function sessionPolicy(place: SqsPlace, { receive, send }: Pick<Grant, 'receive' | 'send'>): PolicyDocument {
  return policy(
    place,
    receive.map(topic => arn(place, named(topic))),
    send.map(topic => arn(place, named(topic))),
  )
}

/**
 * The policy of the role itself, for the deployment: a session's own topic by its tag, and the topics that all send to. A
 * session has what both policies allow.
 */
export function rolePolicy(place: SqsPlace, send: string[]): PolicyDocument {
  const own = `\${aws:PrincipalTag/${TOPIC_TAG}}`
  return policy(
    place,
    [arn(place, own)],
    send.map(topic => arn(place, named(topic))),
  )
}

function policy({ emulated }: SqsPlace, own: string[], to: string[]): PolicyDocument {
  const named = (actions: string[]) => (emulated ? actions.flatMap(action => [action, `${action}Batch`]) : actions)
  return {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: named(OWN), Resource: own },
      { Effect: 'Allow', Action: named(SEND), Resource: to },
    ],
  }
}

const arn = ({ partition = 'aws', region, account, prefix }: SqsPlace, topic: string): string =>
  `arn:${partition}:sqs:${region}:${account}:${prefix}${topic}`

/** The topic, which must not widen a policy. */
function named(topic: string): string {
  if (!/^[A-Za-z0-9_-]{1,80}$/.test(topic)) throw new RangeError(`not a topic: ${topic.slice(0, 100)}`)
  return topic
}

/** Gives out access by assuming the agents' role for each grant, which has one topic to receive from. */
export function sqsAccess(options: SqsAccessOptions): { access(grant: Grant): Promise<SqsAccess>; close(): void } {
  const { clock, connection, place, role, address } = options
  const client = onUse(() => new STSClient(clientOptions(connection)))

  async function access(grant: Grant): Promise<SqsAccess> {
    const [topic, ...others] = grant.receive
    if (topic === undefined || others.length > 0) throw new RangeError('a grant on SQS has one topic to receive from')
    const seconds = Math.floor((grant.expires - clock.now()) / 1_000)
    const { Credentials } = await client.get().send(
      new AssumeRoleCommand({
        RoleArn: role,
        RoleSessionName: named(topic).slice(0, MAX_NAME),
        DurationSeconds: Math.min(Math.max(seconds, SHORTEST_S), LONGEST_S),
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
