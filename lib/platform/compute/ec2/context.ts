import { isDeepStrictEqual } from 'node:util'
import { EC2Client } from '@aws-sdk/client-ec2'
import type { Clock, Log } from '../../../kit/clock.ts'
import type { MachineState } from '../../../ports/compute.ts'
import type { Store } from '../../../ports/store.ts'
import { type AwsConnection, clientOptions, errorName } from '../../aws/connection.ts'
import { machineStates, recordState } from '../../machine-state.ts'
import { CloudFault, translate } from './errors.ts'
import { type Intent, type Intents, intentsIn } from './intents.ts'
import type { TaggedPart } from './tags.ts'

export interface Ec2Options {
  connection: AwsConnection & { region: string }
  store: Store
  clock: Clock
  log: Log
  /** Names the deployment: its parts are tagged with it, and no others are touched. */
  deployment: string
  /** The machine image: arm64, with cloud-init, and the engines below `/usr/lib/postgresql/<version>`. */
  image: string
  /** The subnets of machines, in any number of zones; each with a route to AWS's services and the API. */
  subnets: string[]
  /** Where the agent's bundle is (see `presignUrl`). */
  bundle: { base: string; key: string }
  /** The port of a datastore. */
  portOf(manager: string): number
  logLevel: string
}

/** What each part of the backend works with. */
export interface Ec2Context extends Ec2Options {
  client: EC2Client
  intents: Intents
  /** One call of EC2; undefined if it fails with one of the `tolerated` errors. Throws CloudBusy or CloudFault. */
  call<T>(action: string, request: () => Promise<T>, ...tolerated: string[]): Promise<T | undefined>
  /** Records a part's state, unless it is recorded already. */
  reportState(part: TaggedPart, state: MachineState): Promise<void>
  nextSequence(): number
  /** Whether the part was created so recently that EC2 may not list it yet. */
  isRecent(intent: Intent): boolean
}

/** How long AWS may take until what was created is listed everywhere. */
const SETTLE_MS = 60_000

/** The state of a part that was removed. */
export const GONE = { status: 'GONE' } as const

export function ec2Context(options: Ec2Options): Ec2Context {
  const { connection, store, clock, log } = options
  let last = 0
  const nextSequence = () => {
    last = Math.max(last + 1, clock.now() * 1_000)
    return last
  }
  return {
    ...options,
    client: new EC2Client(clientOptions(connection)),
    intents: intentsIn(store, () => clock.now()),
    nextSequence,
    isRecent: ({ requestedAt = 0 }) => clock.now() - requestedAt < SETTLE_MS,
    async call(action, request, ...tolerated) {
      try {
        return await request()
      } catch (error) {
        if (tolerated.includes(errorName(error))) return undefined
        throw translate(error, action, line => log.error({}, line))
      }
    },
    async reportState({ project, instance, name }, state) {
      const recorded = await machineStates.get(store, project, name)
      if (recorded && isDeepStrictEqual(recorded.body.state, state)) return
      await recordState(store, clock.now(), { project, instance, name, state, sequence: nextSequence() })
    },
  }
}

/** Runs `work`; a CloudFault goes to `onFault` as the part's fault, any other error is thrown. */
export async function asFault(work: () => Promise<void>, onFault: (fault: string) => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof CloudFault)) throw error
    await onFault(error.message)
  }
}
