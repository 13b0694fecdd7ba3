import {
  type AgentRecord,
  agentCommands,
  agentHeartbeatRequest,
  agentRecords,
  type CommandRecord,
  commandSecretOwner,
} from '../agents/agent.ts'
import { CREDENTIALS_MS } from '../agents/enrol-secret.ts'
import { guestTopic } from '../contracts/conductor.ts'
import { type IdempotencyRecord, idempotencyRecords, renewIdempotency } from '../kit/http/idempotency.ts'
import type { RecordType, Stored } from '../kit/records.ts'
import { type SagaRecord, sagas, secretOwner } from '../kit/saga/saga.ts'
import { sendMessages } from '../kit/transaction.ts'
import { type Host, hosts } from '../model/host.ts'
import type { Platform } from '../platform/platform.ts'
import type { Item, Range, Store } from '../ports/store.ts'

/** The current master key, and since when it is that. */
interface CurrentKey {
  kid: string
  since: number
}

/** A kind of records with something that was made with a master key. */
interface KindWithKeys {
  /** What a record costs, in moves of a stored record. */
  cost: number
  page(store: Store, range: Range): Promise<{ items: Item[]; next?: string }>
  /** Moves the record to the current key. False if it needs another one still, or was changed meanwhile. */
  move(platform: Platform, item: Item, current: CurrentKey): Promise<boolean>
}

function kindOf<T>(
  type: RecordType<T>,
  move: (platform: Platform, item: Stored<T>, current: CurrentKey) => Promise<boolean>,
  cost = 1,
): KindWithKeys {
  return {
    cost,
    page: (store, range) => type.all(store, range),
    move: (platform, item, current) => move(platform, type.read(item), current),
  }
}

/** Authorities are few: they are done together, at the first page. */
const authorities: KindWithKeys = {
  cost: 1,
  page: async () => ({ items: [{ key: { project: '*', id: 'ca' }, version: 0, body: null }] }),
  async move({ authority }) {
    await authority.keepKeys()
    return true
  },
}

/** An agent that renews is a request with a certificate to sign: 50 of them in a run leave time for others. */
const AGENT_COST = 20

/** All kinds, in the order of a pass. */
export const KINDS_WITH_KEYS: KindWithKeys[] = [
  authorities,
  kindOf(agentRecords, renewAgent, AGENT_COST),
  kindOf(idempotencyRecords, moveIdempotency),
  kindOf(sagas, moveSaga),
  kindOf(agentCommands, moveCommand),
  kindOf(hosts, async (_platform, { body }, { kid }) => hasKeys(body, kid)),
]

async function moveSaga({ store, vault }: Platform, item: Stored<SagaRecord>): Promise<boolean> {
  const { project, id, request } = item.body
  const { value, renewed } = await vault.renew(request, secretOwner(project, id))
  if (renewed > 0) await store.transact([sagas.replace(item, { ...item.body, request: value })])
  return true
}

async function moveCommand({ store, vault }: Platform, item: Stored<CommandRecord>): Promise<boolean> {
  const { value, renewed } = await vault.renew(item.body.input, commandSecretOwner(item.body))
  if (renewed > 0) await store.transact([agentCommands.replace(item, { ...item.body, input: value })])
  return true
}

async function moveIdempotency(platform: Platform, item: Stored<IdempotencyRecord>): Promise<boolean> {
  const { answer, until, kid } = item.body
  const next = await renewIdempotency(platform, item)
  if (!next) return true
  // Its request writes it next, and expects it as it is.
  if (answer === undefined && until > platform.clock.now()) return kid === (await platform.keys.currentId())
  await platform.store.transact([idempotencyRecords.replace(item, next)])
  return true
}

/**
 * An agent with keys of another master key is asked for a report, by a message that needs the current one: it renews. One
 * that does not hear it renews within an hour, or when it is back.
 */
async function renewAgent(platform: Platform, { body }: Stored<AgentRecord>, current: CurrentKey): Promise<boolean> {
  const { kid, publicKey, enrolUntil } = body
  const now = platform.clock.now()
  if (kid === current.kid || now > current.since + platform.keys.spreadMs + CREDENTIALS_MS) return true
  if (!publicKey) return enrolUntil < now
  await askToRenew(platform, body, current.kid)
  return false
}

async function askToRenew(platform: Platform, agent: AgentRecord, kid: string): Promise<void> {
  const { queue, random, log } = platform
  if (((await queue.backlog?.(guestTopic(agent.instance, agent.generation))) ?? 0) > 0) return
  const message = await agentHeartbeatRequest(platform, { ...agent, kid }, `req-${random.uuid()}`)
  await sendMessages(queue, [message], log)
}

/** A host's launcher gives it the current keys. One of which no report is awaited gets them before it is heard again. */
const hasKeys = ({ kid, state, silentSince, leaseMs }: Host, current: string): boolean =>
  kid === current || state === 'removed' || silentSince !== undefined || leaseMs === undefined
