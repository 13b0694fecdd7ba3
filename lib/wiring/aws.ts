import { z } from 'zod'
import { CONDUCTOR_TOPIC, hostSubject, hostTopic } from '../contracts/conductor.ts'
import { derivedKeys } from '../kit/keys.ts'
import { uncounted } from '../kit/metrics.ts'
import { storedThrottle } from '../kit/throttle/stored.ts'
import { unlimited } from '../kit/throttle/throttle.ts'
import type { AwsConnection } from '../platform/aws.ts'
import type { Compute } from '../platform/compute/compute.ts'
import { observed } from '../platform/compute/observed.ts'
import type { Platform } from '../platform/platform.ts'
import { type SqsQueue, sqsQueue } from '../platform/queue/sqs.ts'
import { sqsAccess } from '../platform/queue/sqs-access.ts'
import { ssmSecrets } from '../platform/secrets/ssm.ts'
import { dynamodbStore } from '../platform/store/dynamodb.ts'
import { common } from './common.ts'
import { wire } from './current.ts'
import { systemClock as clock, systemRandom as random, systemLog } from './system.ts'

/** What `serverless.yml` tells the functions. */
export const AwsSettings = z.object({
  COFFER_STAGE: z.string(),
  COFFER_TABLE: z.string(),
  /** What the names of queues begin with. */
  COFFER_QUEUES: z.string(),
  /** The name of the parameter with the master key. */
  COFFER_MASTER_KEY: z.string(),
  COFFER_GUEST_ROLE: z.string(),
  /** Where the API is served. */
  COFFER_URL: z.url(),
  COFFER_HOST: z.string().default('local'),
  /** What makes machines: a host daemon, or EC2. */
  COFFER_COMPUTE: z.enum(['host', 'ec2']).default('host'),
  COFFER_RATE: z.coerce.number().int().min(0),
  COFFER_LOG_LEVEL: z.string().default('info'),
  AWS_REGION: z.string(),
  COFFER_ACCOUNT: z.string(),
  COFFER_PARTITION: z.string().default('aws'),
  /** Set where an emulator stands for AWS. */
  AWS_ENDPOINT_URL: z.string().optional(),
})
export type AwsSettings = z.infer<typeof AwsSettings>

/** The names of a stage's parts, as `serverless.yml` gives them. */
export const namesOf = (stage: string) => ({
  COFFER_STAGE: stage,
  COFFER_TABLE: `coffer-${stage}`,
  COFFER_QUEUES: `coffer-${stage}`,
  COFFER_MASTER_KEY: `/coffer/${stage}/master-key`,
})

/** What makes machines, with what it needs of the platform; only the functions that do carry it. */
export type Machines = (
  parts: Pick<Platform, 'store' | 'log'> & { connection: AwsConnection & { region: string } },
) => Compute

/** The platform of a Lambda: its clients connect when they are first used. Without `machines`, those of EC2 are only read of. */
export function awsPlatform(settings: AwsSettings, machines?: Machines): Platform & { queue: SqsQueue } {
  const { COFFER_TABLE: table, COFFER_QUEUES: prefix, COFFER_URL: url, AWS_ENDPOINT_URL: endpoint } = settings
  const { AWS_REGION: region, COFFER_ACCOUNT: account, COFFER_PARTITION: partition } = settings
  const connection = { region, ...(endpoint && { endpoint }) }
  const secrets = ssmSecrets({ clock, connection, parameter: settings.COFFER_MASTER_KEY })
  const keys = derivedKeys(secrets)
  const store = dynamodbStore({ clock, random, connection, table })
  const queue = sqsQueue({ clock, connection, prefix: `${prefix}-` })
  const rate = settings.COFFER_RATE
  const log = systemLog('lambda', settings.COFFER_LOG_LEVEL)
  return {
    ...common({ store, queue, secrets, keys, hostId: settings.COFFER_HOST, log }),
    ...(settings.COFFER_COMPUTE === 'ec2' && { compute: machines?.({ store, log, connection }) ?? observed(store) }),
    boot: random.uuid(),
    // Another container may hold it: its lease ends by time.
    isLive: () => true,
    enrolUrl: () => `${url}/enrol`,
    access: sqsAccess({
      clock,
      connection,
      role: settings.COFFER_GUEST_ROLE,
      place: { partition, region, account, prefix: `${prefix}-`, emulated: endpoint !== undefined },
      address: topic => queue.address(topic),
    }).access,
    publicUrl: url,
    throttle: rate === 0 ? unlimited : storedThrottle(store, clock, rate),
    metrics: uncounted,
    stage: settings.COFFER_STAGE,
    delaysDoorbells: true,
  }
}

/** What a host daemon needs to take part, with these credentials of its operator. */
export async function awsHostAccess(
  platform: Platform & { queue: SqsQueue },
  { AWS_REGION: region, AWS_ENDPOINT_URL: endpoint, COFFER_HOST: id }: AwsSettings,
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string },
) {
  const topic = hostTopic(id)
  await platform.queue.declare(topic)
  const urls = Object.fromEntries(
    await Promise.all([topic, CONDUCTOR_TOPIC].map(async each => [each, await platform.queue.address(each)] as const)),
  )
  const kid = await platform.keys.currentId()
  const key = async (direction: 'down' | 'up') =>
    Buffer.from(await platform.keys.derive(kid, 'seal', hostSubject(id), 0, direction)).toString('base64url')
  return {
    topic,
    conductor: CONDUCTOR_TOPIC,
    queue: { region, ...(endpoint && { endpoint }), urls, credentials },
    kid,
    keys: { down: await key('down'), up: await key('up') },
  }
}

/** Gives this process's functions the platform that the environment describes. */
export function wireAws(machines?: Machines): void {
  wire(awsPlatform(AwsSettings.parse(process.env), machines))
}
