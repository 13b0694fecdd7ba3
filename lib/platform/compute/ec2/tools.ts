import { isDeepStrictEqual } from 'node:util'
import { EC2Client } from '@aws-sdk/client-ec2'
import type { Clock, Log } from '../../../kit/clock.ts'
import { type AwsConnection, clientOptions, nameOf } from '../../aws.ts'
import type { Store } from '../../store/store.ts'
import type { Facts } from '../compute.ts'
import { observations, observe } from '../facts.ts'
import { CloudFault, meaning } from './errors.ts'
import { type Notes, notesIn } from './notes.ts'
import type { Owned } from './tags.ts'

export interface Ec2Options {
  connection: AwsConnection & { region: string }
  store: Store
  clock: Clock
  log: Log
  /** Names the deployment: its parts are tagged with it, and no other's are touched. */
  deployment: string
  /** The machine image: arm64, with cloud-init, and the engines below `/usr/lib/postgresql/<version>`. */
  image: string
  /** Where machines are put, any number of zones; each with a way out to AWS's services and the API. */
  subnets: string[]
  /** Where the agent's bundle is (see `presigned`). */
  bundle: { base: string; key: string }
  /** Where a datastore listens. */
  portOf(manager: string): number
  logLevel: string
}

/** What each part of the backend works with. */
export interface Tools extends Ec2Options {
  client: EC2Client
  notes: Notes
  /** One call of EC2; undefined where it ends in one of the errors that are `fine`. Throws CloudBusy or CloudFault. */
  ask<T>(doing: string, call: () => Promise<T>, ...fine: string[]): Promise<T | undefined>
  /** Keeps what is known of a part; what is known already is not written again. */
  tell(of: Owned, facts: Facts): Promise<void>
  nextSent(): number
}

/** How long AWS may take until it shows everywhere what was made: until then, what is not seen may be there. */
export const SETTLE_MS = 60_000

export function toolsOf(options: Ec2Options): Tools {
  const { connection, store, clock, log } = options
  let last = 0
  const nextSent = () => {
    last = Math.max(last + 1, clock.now() * 1_000)
    return last
  }
  return {
    ...options,
    client: new EC2Client(clientOptions(connection)),
    notes: notesIn(store, () => clock.now()),
    nextSent,
    async ask(doing, call, ...fine) {
      try {
        return await call()
      } catch (error) {
        if (fine.includes(nameOf(error))) return undefined
        throw meaning(error, doing, line => log.error({}, line))
      }
    },
    async tell(of, facts) {
      const { project, instance, name } = of
      const known = await observations.get(store, project, name)
      if (known && isDeepStrictEqual(known.body.facts, facts)) return
      await observe(store, clock.now(), { project, instance, name, facts, sent: nextSent() })
    },
  }
}

/** What AWS will not do for the part becomes its fault. */
export async function orFault(work: () => Promise<void>, failed: (fault: string) => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof CloudFault)) throw error
    await failed(error.message)
  }
}
