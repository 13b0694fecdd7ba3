import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../lib/kit/errors.ts'
import { ADMIN_ACTIONS, createInstance, memberActions } from './actions.ts'
import type { Client } from './api.ts'
import type { Entry } from './ledger.ts'
import { pickWeighted, type Random, seededRandom } from './random.ts'
import { pathOf, type Stage } from './scene.ts'

/** The mean pause of an actor between two actions. */
const PAUSE_MS = 400
/** How long an actor waits that gets no answer. */
const AWAY_MS = 500
/** How often a member with room for another instance creates one. */
const CREATE_CHANCE = 0.3

/** Who acts: each owner of instances by name, and an admin. */
export interface Cast {
  members: Record<string, Client>
  admin: Client
}

/** Runs the actors until `signal` is aborted; each one's choices follow from the seed and its number. */
export async function act(
  count: number,
  seed: number,
  cast: Cast,
  stage: Pick<Stage, 'fleet' | 'journal' | 'ca'>,
  signal: AbortSignal,
): Promise<void> {
  const owners = Object.keys(cast.members)
  const actors = Array.from({ length: count }, (_, index) => {
    const random = seededRandom(seed + 1 + index)
    // Members first; the last of at least three is the admin.
    const isAdmin = index === owners.length
    const owner = owners[index % owners.length] ?? ''
    const client = cast.members[owner] ?? cast.admin
    const step = isAdmin
      ? () => actAsAdmin({ ...stage, random, client: cast.admin })
      : () => actAsMember({ ...stage, random, client }, owner)
    return { random, step }
  })
  await Promise.all(
    actors.map(async ({ random, step }) => {
      while (!signal.aborted) {
        await step().catch(error => stage.journal.problem(`an actor failed: ${messageOf(error)}`))
        await pause(random, signal)
      }
    }),
  )
}

const pause = (random: Random, signal: AbortSignal) =>
  sleep(random.exponential(PAUSE_MS), undefined, { signal }).catch(() => undefined)

async function actAsMember(stage: Stage, owner: string): Promise<void> {
  const { client, random } = stage
  const entry = choose(
    random,
    stage.fleet.living.filter(candidate => candidate.owner === owner),
  )
  if (!entry || random.chance(CREATE_CHANCE)) return createInstance(stage, owner)
  const reply = await client.call('show', 'GET', pathOf(entry))
  // The control plane is being started: nothing else would be answered either.
  if (!reply) return void (await sleep(AWAY_MS))
  if (reply.status === 404) {
    if (!entry.isDeleteSent) stage.journal.problem(`instance ${entry.id} has disappeared`)
    entry.isDeleted = true
  }
  if (reply.status !== 200 || entry.isDeleted) return
  const scene = { ...stage, entry, instance: reply.body.instance }
  await pickWeighted(random, memberActions(scene)).run(scene)
}

async function actAsAdmin(stage: Stage): Promise<void> {
  const entry = choose(stage.random, stage.fleet.living)
  if (!(await stage.client.call('mgmt: flavors', 'GET', '/flavors'))) return void (await sleep(AWAY_MS))
  if (entry) await pickWeighted(stage.random, ADMIN_ACTIONS).run({ ...stage, entry, instance: undefined })
}

const choose = (random: Random, entries: Entry[]) => (entries.length === 0 ? undefined : random.pick(entries))
