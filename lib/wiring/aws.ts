import { z } from 'zod'
import { hostTopic } from '../contracts/conductor.ts'
import type { HostAccess } from '../contracts/host-access.ts'
import type { QueueAccessOf } from '../contracts/queue-access.ts'
import { derivedKeys } from '../kit/crypto/keys.ts'
import { noMetrics } from '../kit/metrics.ts'
import type { AwsConnection } from '../platform/aws/connection.ts'
import { readOnlyCompute } from '../platform/compute/read-only/compute.ts'
import type { Platform } from '../platform/platform.ts'
import { sqsAccess } from '../platform/queue/sqs/access.ts'
import { type SqsQueue, sqsQueue } from '../platform/queue/sqs/queue.ts'
import { ssmSecrets } from '../platform/secrets/ssm/secrets.ts'
import { dynamodbStore } from '../platform/store/dynamodb/store.ts'
import { noThrottle } from '../platform/throttle/leaky-bucket.ts'
import { storedThrottle } from '../platform/throttle/stored/throttle.ts'
import type { Compute } from '../ports/compute.ts'
import { buildHostAccess, hostRights, sharedParts } from './common.ts'
import { setPlatform } from './current.ts'
import { systemClock as clock, systemRandom as random, systemLog } from './system.ts'

/** The environment that `serverless.yml` gives the functions. */
export const AwsSettings = z.object({
  COFFER_STAGE: z.string(),
  COFFER_TABLE: z.string(),
  /** The prefix of the names of queues. */
  COFFER_QUEUES: z.string(),
  /** The name of the parameter with the master key. */
  COFFER_MASTER_KEY: z.string(),
  COFFER_GUEST_ROLE: z.string(),
  /** The URL of the API. */
  COFFER_URL: z.url(),
  COFFER_HOST: z.string().default('local'),
  /** What runs machines: a host daemon, or EC2. */
  COFFER_COMPUTE: z.enum(['host', 'ec2']).default('host'),
  COFFER_RATE: z.coerce.number().int().min(0),
  COFFER_LOG_LEVEL: z.string().default('info'),
  AWS_REGION: z.string(),
  COFFER_ACCOUNT: z.string(),
  COFFER_PARTITION: z.string().default('aws'),
  /** Set if an emulator takes the place of AWS. */
  AWS_ENDPOINT_URL: z.string().optional(),
})
export type AwsSettings = z.infer<typeof AwsSettings>

/** The names of a stage's resources, as in `serverless.yml`. */
export const stageNames = (stage: string) => ({
  COFFER_STAGE: stage,
  COFFER_TABLE: `coffer-${stage}`,
  COFFER_QUEUES: `coffer-${stage}`,
  COFFER_MASTER_KEY: `/coffer/${stage}/master-key`,
})

/** Builds the compute backend; only the functions that change machines include it in their bundle. */
export type ComputeFactory = (
  parts: Pick<Platform, 'store' | 'log'> & { connection: AwsConnection & { region: string } },
) => Compute

/** The platform of a Lambda; its clients connect when they are first used. Without `machines`, EC2 is read-only. */
export function awsPlatform(settings: AwsSettings, machines?: ComputeFactory): Platform & { queue: SqsQueue } {
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
    ...sharedParts({ store, queue, secrets, keys, hostId: settings.COFFER_HOST, log }),
    ...(settings.COFFER_COMPUTE === 'ec2' && {
      compute: machines?.({ store, log, connection }) ?? readOnlyCompute(store),
    }),
    processId: random.uuid(),
    // Other containers cannot be watched: their leases expire.
    isProcessAlive: () => true,
    enrolUrl: () => `${url}/enrol`,
    queueCredentials: sqsAccess({
      clock,
      connection,
      role: settings.COFFER_GUEST_ROLE,
      place: { partition, region, account, prefix: `${prefix}-`, emulated: endpoint !== undefined },
      address: topic => queue.address(topic),
    }).access,
    publicUrl: url,
    throttle: rate === 0 ? noThrottle : storedThrottle(store, clock, rate),
    metrics: noMetrics,
    stage: settings.COFFER_STAGE,
    delaysDoorbells: true,
  }
}

/** What the daemon of a host (default: the stage's) needs to connect, with credentials of its operator. */
export async function awsHostAccess(
  { queue, keys }: Pick<Platform, 'keys'> & { queue: SqsQueue },
  { AWS_REGION: region, AWS_ENDPOINT_URL: endpoint, COFFER_HOST }: AwsSettings,
  credentials: QueueAccessOf<'sqs'>['credentials'],
  hostId = COFFER_HOST,
): Promise<HostAccess> {
  await queue.declare(hostTopic(hostId))
  const { receive, send } = hostRights(hostId)
  const urls = await Promise.all([...receive, ...send].map(async topic => [topic, await queue.address(topic)] as const))
  const access = { region, ...(endpoint && { endpoint }), urls: Object.fromEntries(urls), credentials }
  return buildHostAccess(keys, hostId, { kind: 'sqs', ...access })
}

/** Sets the platform of this process's functions, configured by the environment. */
export function wireAws(machines?: ComputeFactory): void {
  setPlatform(awsPlatform(AwsSettings.parse(process.env), machines))
}
