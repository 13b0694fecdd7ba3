import { guestSubject, guestTopic } from '../contracts/conductor.ts'
import { GuestAnswer, type GuestMessage, type GuestMethods, guest } from '../contracts/guest/guest.ts'
import { usableKeyId } from '../kit/crypto/keys.ts'
import { readEnvelope } from '../kit/crypto/seal.ts'
import { Fault, unprocessable } from '../kit/errors.ts'
import { recordType, renameFields, type Stored } from '../kit/records.ts'
import { type Client, client } from '../kit/rpc/contract.ts'
import { commit, type TopicMessage, type Transaction } from '../kit/transaction.ts'
import { instanceSubject } from '../model/instance.ts'
import type { Platform } from '../platform/platform.ts'
import { NoSuchTopic } from '../ports/queue.ts'
import type { Store } from '../ports/store.ts'

/** What the control plane knows of an instance's agent. */
export interface AgentRecord {
  instance: string
  project: string
  generation: number
  /** Numbers of the last command that was issued, and of the last one of an unbroken row that has ended. */
  lastIssued: number
  lastDone: number
  lastIssuedAt: number
  /** Until when the enrolment secret is accepted; 0 = only from the key that it was redeemed with. */
  enrolUntil: number
  /** The generation whose agent has reported: its enrolment secret is void, whatever the key. */
  confirmedGeneration?: number
  /** The master key of its enrolment secret, and of the keys that it was given last; earlier versions did not record it. */
  kid?: string
  /** The public half of the agent's own key, as a JWK. */
  publicKey?: { kty: string; crv: string; x: string }
  /** The numbers of commands that a saga issues once, by the key that it gives them. */
  dedupeKeys: Record<string, number>
}
export const agentRecords = recordType<AgentRecord>('guest', body =>
  renameFields(body, {
    issued: 'lastIssued',
    done: 'lastDone',
    issuedAt: 'lastIssuedAt',
    heard: 'confirmedGeneration',
    once: 'dedupeKeys',
  }),
)

/** A command to an agent. Kept until it is done, and a day longer without its secrets. */
export interface CommandRecord {
  instance: string
  project: string
  number: number
  method: keyof GuestMethods & string
  /** With its secrets encrypted. */
  input: unknown
  status: 'issued' | 'done' | 'failed' | 'cancelled'
  result?: unknown
  error?: { code: number; message: string }
  requestId: string
  issuedAt: number
}
export const agentCommands = recordType<CommandRecord>('command', body => renameFields(body, { issued: 'issuedAt' }))
export const commandId = (instance: string, number: number) => `${instance}#${String(number).padStart(12, '0')}`
/** The owner under which a command's secrets are encrypted. */
export const commandSecretOwner = (row: Pick<CommandRecord, 'project' | 'instance' | 'number'>) =>
  `${row.project}/command#${commandId(row.instance, row.number)}`
export const commandSignal = (instance: string, number: number) => `command ${commandId(instance, number)}`

/** An agent's answer, still sealed, kept for as long as somebody may wait for it. */
export const agentAnswers = recordType<{ envelope: string }>('answer')
export const answerId = (subject: string, id: string) => `${subject}/${id}`
export const answerSignal = (subject: string, id: string) => `answer ${answerId(subject, id)}`

/** Whether the agent has still to report it. */
export const isPending = ({ status }: CommandRecord): boolean => status === 'issued' || status === 'cancelled'

/** How long a request waits for the answer to a query. */
const QUERY_MS = 15_000
const MAX_DEDUPE_KEYS = 30
/** How many commands may be pending: an agent that is gone gets no more. Operations may issue what they need. */
export const MAX_PENDING = 50
/** How long after it was issued a command is first sent again. */
const RESEND_MS = 2_000

interface CommandContext {
  project: string
  instance: string
  requestId: string
  /** Issue the command only once under this key. */
  dedupeKey?: string
}

/**
 * A client of the instance's agent. A query resolves to the agent's answer, or throws a Fault (504 if there is none). A command
 * resolves to its record as soon as that is stored, or throws a Fault 422 while too many are pending.
 */
export const guestClient = (platform: Platform, context: CommandContext): Client<GuestMethods, CommandRecord> =>
  agentClient(platform, context, (method, input) => issueCommand(platform, context, method, input))

/**
 * The same for the handlers of requests: a command is only planned, and its handler returns its changes and its message.
 */
export const planningClient = (platform: Platform, context: CommandContext): Client<GuestMethods, PlannedCommand> =>
  agentClient(platform, context, (method, input) => planCommand(platform, context, method, input))

function agentClient<Issued>(
  platform: Platform,
  context: CommandContext,
  command: (method: CommandRecord['method'], input: unknown) => Promise<Issued>,
): Client<GuestMethods, Issued> {
  return client(guest, {
    cast: () => Promise.reject(new Error('agents take queries and commands only')),
    query: (method, input) => sendQuery(platform, context, method, input),
    command: (method, input) => command(method as CommandRecord['method'], input),
  })
}

async function sendQuery(
  platform: Platform,
  context: CommandContext,
  method: string,
  input: unknown,
): Promise<unknown> {
  const { store, sealer, signals, clock, random } = platform
  const { body: agent } = await loadAgent(platform, context)
  const id = random.uuid()
  const subject = guestSubject(agent.instance)
  const expires = clock.now() + QUERY_MS
  const message = { kind: 'query', method, input, requestId: context.requestId } as const
  await deliver(platform, await sealedMessage(platform, agent, message, id, expires))
  // A conductor in this process delivers the answer; one in another process stores it.
  const answer = await signals.waitForText(answerSignal(subject, id), QUERY_MS, () =>
    fetchAnswer(store, answerId(subject, id)),
  )
  if (answer === undefined) throw new Fault(504, `The agent of instance ${agent.instance} did not answer in time.`)
  const outcome = GuestAnswer.parse(await sealer.open(readEnvelope(answer)))
  if ('refused' in outcome) throw new Fault(outcome.refused.code, outcome.refused.message)
  if ('failed' in outcome) throw new Fault(500, outcome.failed)
  return outcome.result
}

async function fetchAnswer(store: Store, id: string): Promise<string | undefined> {
  const item = await agentAnswers.get(store, '*', id)
  if (item) await store.transact([{ op: 'delete', key: item.key }])
  return item?.body.envelope
}

/** The message that asks the agent for a report, which it else sends once a minute. Nobody waits for it. */
export async function heartbeatRequest(platform: Platform, context: CommandContext): Promise<TopicMessage> {
  return agentHeartbeatRequest(platform, (await loadAgent(platform, context)).body, context.requestId)
}

/** The same for an agent whose record was read already. */
export function agentHeartbeatRequest(
  platform: Platform,
  agent: AgentRecord,
  requestId: string,
): Promise<TopicMessage> {
  const { random, clock } = platform
  const message = { kind: 'query', method: 'rpc_ping', input: {}, requestId } as const
  return sealedMessage(platform, agent, message, random.uuid(), clock.now() + QUERY_MS)
}

/** A command that is not issued before its transaction is committed. */
export interface PlannedCommand extends Transaction {
  command: CommandRecord
}

/** Issues a command now: stores it under the next number, and sends it to the agent. */
async function issueCommand(
  platform: Platform,
  context: CommandContext,
  method: CommandRecord['method'],
  input: unknown,
): Promise<CommandRecord> {
  return (await commit(platform, () => planCommand(platform, context, method, input))).command
}

/** The command under the next number, and what issues it. One that was issued under its key before is sent again. */
async function planCommand(
  platform: Platform,
  context: CommandContext,
  method: CommandRecord['method'],
  input: unknown,
): Promise<PlannedCommand> {
  const { store, clock } = platform
  const { project, instance, dedupeKey } = context
  const item = await loadAgent(platform, context)
  const agent = item.body
  const previous = await previousCommand(store, context, agent, method)
  if (previous) {
    const messages = previous.status === 'issued' ? [await commandMessage(platform, agent, previous)] : []
    return { changes: [], messages, command: previous }
  }
  if (dedupeKey === undefined) assertHasRoom(agent)
  const now = clock.now()
  const number = agent.lastIssued + 1
  const command = await newCommand(platform, context, { number, method, input, now })
  const dedupeKeys =
    dedupeKey === undefined ? agent.dedupeKeys : { ...recentKeys(agent.dedupeKeys), [dedupeKey]: number }
  const issued = { ...agent, lastIssued: number, lastIssuedAt: now, dedupeKeys }
  const changes = [
    agentRecords.replace(item, issued, { due: now + RESEND_MS }),
    agentCommands.create(project, commandId(instance, number), command, { subject: instanceSubject(instance) }),
  ]
  return { changes, messages: [await commandMessage(platform, agent, command)], command }
}

/** The command that was issued under the context's key before; as done, if its record is gone since. */
async function previousCommand(
  store: Store,
  context: CommandContext,
  { dedupeKeys }: AgentRecord,
  method: CommandRecord['method'],
): Promise<CommandRecord | undefined> {
  const { project, instance, requestId, dedupeKey } = context
  const number = dedupeKey === undefined ? undefined : dedupeKeys[dedupeKey]
  if (number === undefined) return undefined
  const item = await agentCommands.get(store, project, commandId(instance, number))
  const expired: CommandRecord = {
    project,
    instance,
    requestId,
    method,
    number,
    input: null,
    status: 'done',
    issuedAt: 0,
  }
  return item?.body ?? expired
}

async function newCommand(
  { vault }: Platform,
  { project, instance, requestId }: CommandContext,
  { number, method, input, now }: { number: number; method: CommandRecord['method']; input: unknown; now: number },
): Promise<CommandRecord> {
  const owner = commandSecretOwner({ project, instance, number })
  const locked = await vault.lock(guest.methods[method].input, input, owner)
  return { project, instance, number, method, input: locked, status: 'issued', requestId, issuedAt: now }
}

function assertHasRoom({ instance, lastIssued, lastDone }: AgentRecord): void {
  if (lastIssued - lastDone < MAX_PENDING) return
  const reason = `${MAX_PENDING} commands wait for its agent`
  throw unprocessable(`Instance ${instance} is not currently available for an action to be performed (${reason}).`)
}

/** Only the latest keys: a saga repeats what it issued last, and older sagas have ended. */
const recentKeys = (keys: AgentRecord['dedupeKeys']) => Object.fromEntries(Object.entries(keys).slice(-MAX_DEDUPE_KEYS))

/** Sends a command to its agent. May be called at any time, and any number of times. */
export async function sendCommand(platform: Platform, agent: AgentRecord, command: CommandRecord): Promise<void> {
  await deliver(platform, await commandMessage(platform, agent, command))
}

/** How long a command's message is valid. */
const COMMAND_MESSAGE_MS = 3_600_000

async function commandMessage(platform: Platform, agent: AgentRecord, command: CommandRecord): Promise<TopicMessage> {
  const { number, method, requestId } = command
  const message: GuestMessage =
    command.status === 'cancelled'
      ? { kind: 'command', number, method, input: null, requestId, cancelled: true }
      : { kind: 'command', number, method, requestId, input: await decryptInput(platform, command) }
  return sealedMessage(platform, agent, message, `command-${number}`, platform.clock.now() + COMMAND_MESSAGE_MS)
}

const decryptInput = ({ vault }: Platform, command: CommandRecord) =>
  vault.unlock(guest.methods[command.method].input, command.input, commandSecretOwner(command))

async function sealedMessage(
  { sealer, keys }: Platform,
  { instance, generation, project, kid }: AgentRecord,
  message: GuestMessage,
  id: string,
  expires: number,
): Promise<TopicMessage> {
  const header = { subject: guestSubject(instance), generation, kind: message.kind, id, expires }
  // An agent gets the keys of a new master key at its next enrolment.
  const body = await sealer.seal({ ...header, direction: 'down' }, message, await usableKeyId(keys, kid))
  return { topic: guestTopic(instance, generation), body, group: project }
}

async function deliver({ queue }: Platform, { topic, ...message }: TopicMessage): Promise<void> {
  try {
    await queue.send(topic, [message])
  } catch (error) {
    // The agent's queue does not exist yet, or any more. The command's record stays; a query expires.
    if (!(error instanceof NoSuchTopic)) throw error
  }
}

async function loadAgent({ store }: Platform, { project, instance }: CommandContext): Promise<Stored<AgentRecord>> {
  const item = await agentRecords.get(store, project, instance)
  if (!item) throw new Fault(404, `Instance ${instance} has no agent.`)
  return item
}
