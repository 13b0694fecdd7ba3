import { z } from 'zod'
import { manifestOf } from '../model/catalog.ts'
import { ec2Compute } from '../platform/compute/ec2/compute.ts'
import { type ComputeFactory, wireAws } from './aws.ts'
import { DATASTORES } from './common.ts'
import { systemClock as clock } from './system.ts'

const subnetList = z
  .string()
  .transform(text => text.split(',').map(part => part.trim()))
  .pipe(z.array(z.string().regex(/^subnet-[0-9a-f]+$/, 'is not a list of subnets (subnet-…, with commas)')).min(1))

/** The settings of EC2 machines, besides `AwsSettings`. */
const Ec2Settings = z.object({
  COFFER_QUEUES: z.string(),
  COFFER_BUCKET: z.string(),
  /** An image for arm64 (see docs/operations.md). */
  COFFER_EC2_IMAGE: z.string().regex(/^ami-[0-9a-f]+$/, 'is not an image (ami-…)'),
  COFFER_EC2_SUBNETS: subnetList,
  COFFER_LOG_LEVEL: z.string().default('info'),
  AWS_REGION: z.string(),
  /** `amazonaws.com.cn` in China. */
  COFFER_URL_SUFFIX: z.string().default('amazonaws.com'),
  AWS_ENDPOINT_URL: z.string().optional(),
})

/** Where `deploy:agent` stores the agent's bundle. */
export const AGENT_KEY = 'agent/agent.tar.gz'

/** Machines on EC2, configured by the environment. Throws one line that names each missing or invalid setting. */
export function ec2Machines(environment: NodeJS.ProcessEnv): ComputeFactory {
  return ({ store, log, connection }) => {
    const parsed = Ec2Settings.safeParse(environment)
    if (!parsed.success) {
      const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
      throw new Error(`EC2 is not set up: ${problems.join('; ')}`)
    }
    const settings = parsed.data
    const { COFFER_BUCKET: bucket, AWS_REGION: region, AWS_ENDPOINT_URL: endpoint } = settings
    return ec2Compute({
      ...{ connection, store, clock, log },
      deployment: settings.COFFER_QUEUES,
      image: settings.COFFER_EC2_IMAGE,
      subnets: settings.COFFER_EC2_SUBNETS,
      bundle: {
        base: endpoint ? `${endpoint}/${bucket}` : `https://${bucket}.s3.${region}.${settings.COFFER_URL_SUFFIX}`,
        key: AGENT_KEY,
      },
      portOf: manager => manifestOf(DATASTORES, manager).port,
      logLevel: settings.COFFER_LOG_LEVEL,
    })
  }
}

/** Sets the platform of a function that creates or polls machines. */
export function wireAwsWithMachines(): void {
  wireAws(ec2Machines(process.env))
}
