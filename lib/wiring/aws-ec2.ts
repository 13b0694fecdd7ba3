import { z } from 'zod'
import { manifestOf } from '../datastores/catalog.ts'
import { ec2Compute } from '../platform/compute/ec2/ec2.ts'
import { type Machines, wireAws } from './aws.ts'
import { systemClock as clock } from './system.ts'

const list = z
  .string()
  .transform(text => text.split(',').map(part => part.trim()))
  .pipe(z.array(z.string().regex(/^subnet-[0-9a-f]+$/, 'is not a list of subnets (subnet-…, with commas)')).min(1))

/** What EC2 needs to be told besides. */
export const Ec2Settings = z.object({
  COFFER_QUEUES: z.string(),
  COFFER_BUCKET: z.string(),
  /** An image for arm64 (see docs/operations.md). */
  COFFER_EC2_IMAGE: z.string().regex(/^ami-[0-9a-f]+$/, 'is not an image (ami-…)'),
  COFFER_EC2_SUBNETS: list,
  COFFER_LOG_LEVEL: z.string().default('info'),
  AWS_REGION: z.string(),
  /** `amazonaws.com.cn` in China. */
  COFFER_URL_SUFFIX: z.string().default('amazonaws.com'),
  AWS_ENDPOINT_URL: z.string().optional(),
})

/** Where `deploy:agent` puts what machines run. */
export const AGENT_KEY = 'agent/agent.tar.gz'

/** Machines of EC2, as the environment describes them. Throws one line for what is missing or makes no sense. */
export function ec2Machines(environment: NodeJS.ProcessEnv): Machines {
  return ({ store, log, connection }) => {
    const parsed = Ec2Settings.safeParse(environment)
    if (!parsed.success) {
      const wrong = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
      throw new Error(`EC2 is not set up: ${wrong.join('; ')}`)
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
      portOf: manager => manifestOf(manager).port,
      logLevel: settings.COFFER_LOG_LEVEL,
    })
  }
}

/** Wires a function that makes machines, or looks at them. */
export function wireAwsWithMachines(): void {
  wireAws(ec2Machines(process.env))
}
