import { guestSubject, guestTopic } from '../contracts/conductor.ts'
import { GuestAnswer, type GuestMessage, type GuestMethods, guest } from '../contracts/guest.ts'
import { type Client, client } from '../kit/contract.ts'
import { Fault, unprocessable } from '../kit/errors.ts'
import type { Keys } from '../kit/keys.ts'
import { kind, retrying, type Stored } from '../kit/records.ts'
import { readEnvelope } from '../kit/seal.ts'
import type { Platform } from '../platform/platform.ts'
import { NoSuchTopic } from '../platform/queue/queue.ts'
import type { Store } from '../platform/store/store.ts'

/** What the control plane knows of an instance's agent. */
export interface Guest {
  instance: string
  project: string
  generation: number
  /** Numbers of the last command asked for, and of the last one done. */
  issued: number
  done: number
  issuedAt: number
  /** Until when the enrolment secret is taken; 0 = no more, but for the key it was traded with. */
  enrolUntil: number
  /** The generation whose agent has reported: its enrolment secret is void, for whatever key. */
  heard?: number
  /** The agent's own key (JWK of its public half). */
  publicKey?: { kty: string; crv: string; x: string }
  /** Commands that a saga asks for once: by the saga's name for it, their number. */
  once: Record<string, number>
}
export const guests = kind<Guest>('guest')

/** How long an enrolment secret is taken. */
const ENROL_MS = 30 * 60_000

/** What is known of the agent of an instance's new generation: nothing yet. */
export const newGuest = (of: { id: string; project: string; generation: number }, now: number): Guest => ({
  instance: of.id,
  project: of.project,
  generation: of.generation,
  issued: 0,
  done: 0,
  issuedAt: now,
  enrolUntil: now + ENROL_MS,
  once: {},
})

/** A command to an agent. Kept until it is done, and a day longer without its secrets. */
export interface CommandRow {
  instance: string
  project: string
  number: number
  method: keyof GuestMethods & string
  /** Secrets encrypted. */
  input: unknown
  status: 'issued' | 'done' | 'failed' | 'cancelled'
  result?: unknown
  error?: { code: number; message: string }
  requestId: string
  issued: number
}
export const commands = kind<CommandRow>('command')
export const commandId = (instance: string, number: number) => `${instance}#${String(number).padStart(12, '0')}`
export const commandOwner = (row: Pick<CommandRow, 'project' | 'instance' | 'number'>) =>
  `${row.project}/command#${commandId(row.instance, row.number)}`
export const commandBell = (instance: string, number: number) => `command ${commandId(instance, number)}`

/** An answer of an agent, sealed as it came, kept for as long as somebody may wait for it. */
export const answers = kind<{ envelope: string }>('answer')
export const answerId = (subject: string, id: string) => `${subject}/${id}`
export const answerBell = (subject: string, id: string) => `answer ${answerId(subject, id)}`

/** How long the API waits for an agent's answer to a query, and for a command that it answers for: below API Gateway's 29 s. */
const QUERY_MS = 15_000
const COMMAND_MS = 25_000
const ONCE_KEPT = 30
/** How many commands may be asked for and not done: an agent that is gone takes no more. Operations may ask for what they need. */
const MOST_OPEN = 50
/** When a command that nobody reported is sent again at first. */
export const RESEND_MS = 2_000

export interface Asking {
  project: string
  instance: string
  requestId: string
  /** Ask for the command only once under this name. */
  once?: string
}

/**
 * A client of the instance's agent. Queries throw Fault (504 when nobody answers); a command answers its row, once stored, and
 * throws Fault 422 while too many wait.
 */
export function guestClient(platform: Platform, asking: Asking): Client<GuestMethods, CommandRow> {
  return client(guest, {
    cast: () => Promise.reject(new Error('agents take queries and commands only')),
    query: (method, input) => ask(platform, asking, method, input),
    command: (method, input) => issue(platform, asking, method as CommandRow['method'], input),
  })
}

async function ask(within: Platform, asking: Asking, method: string, input: unknown): Promise<unknown> {
  // A question changes nothing: it goes out at once, and what keeps its answer is nobody's change.
  const platform = { ...within, ...within.unit?.direct }
  const { store, sealer, bells, clock, random } = platform
  const to = (await found(platform, asking)).body
  const id = random.uuid()
  const subject = guestSubject(to.instance)
  const expires = clock.now() + QUERY_MS
  await deliver(platform, to, { kind: 'query', method, input, requestId: asking.requestId }, id, expires)
  // A conductor of this process hands it over; one of another leaves it in the store.
  const answer = await bells.until(
    answerBell(subject, id),
    QUERY_MS,
    () => fetched(store, answerId(subject, id)),
    text => text,
  )
  if (answer === undefined) throw new Fault(504, `The agent of instance ${to.instance} did not answer in time.`)
  const opened = GuestAnswer.parse(await sealer.open(readEnvelope(answer)))
  if ('refused' in opened) throw new Fault(opened.refused.code, opened.refused.message)
  if ('failed' in opened) throw new Fault(500, opened.failed)
  return opened.result
}

async function fetched(store: Store, id: string): Promise<string | undefined> {
  const kept = await answers.get(store, '*', id)
  if (kept) await store.transact([{ op: 'delete', key: kept.key }])
  return kept?.body.envelope
}

/** Has the agent say at once how it is, instead of within its minute; nobody waits for that. */
export async function nudge(platform: Platform, asking: Asking): Promise<void> {
  const to = (await found(platform, asking)).body
  const { random, clock } = platform
  const message = { kind: 'query', method: 'rpc_ping', input: {}, requestId: asking.requestId } as const
  await deliver(platform, to, message, random.uuid(), clock.now() + QUERY_MS)
}

/** Stores the command under the next number and rings the agent. */
async function issue(
  platform: Platform,
  asking: Asking,
  method: CommandRow['method'],
  input: unknown,
): Promise<CommandRow> {
  const { store, clock } = platform
  const { project, instance, requestId, once } = asking
  const [asked, to] = await retrying(store, async () => {
    const item = await found(platform, asking)
    const known = once === undefined ? undefined : item.body.once[once]
    const row = known === undefined ? undefined : await commands.get(store, project, commandId(instance, known))
    if (known !== undefined) {
      return { changes: [], result: [row?.body ?? doneLongAgo(asking, method, known), item.body] as const }
    }
    if (once === undefined) assertHasRoom(item.body)
    const number = item.body.issued + 1
    const now = clock.now()
    const locked = await platform.vault.lock(
      guest.methods[method].input,
      input,
      commandOwner({ project, instance, number }),
    )
    const made: CommandRow = {
      project,
      instance,
      number,
      method,
      input: locked,
      status: 'issued',
      requestId,
      issued: now,
    }
    const next: Guest = {
      ...item.body,
      issued: number,
      issuedAt: now,
      once: once === undefined ? item.body.once : { ...latest(item.body.once), [once]: number },
    }
    const changes = [
      guests.replace(item, next, { due: now + RESEND_MS }),
      commands.create(project, commandId(instance, number), made, { instance }),
    ]
    return { changes, result: [made, next] as const }
  })
  if (asked.status === 'issued') await sendCommand(platform, to, asked)
  return asked
}

function assertHasRoom({ instance, issued, done }: Guest): void {
  if (issued - done < MOST_OPEN) return
  const why = `${MOST_OPEN} commands wait for its agent`
  throw unprocessable(`Instance ${instance} is not currently available for an action to be performed (${why}).`)
}

/** Sagas ask again for what they asked for last; what older ones asked for is forgotten. */
const latest = (once: Guest['once']) => Object.fromEntries(Object.entries(once).slice(-ONCE_KEPT))

const doneLongAgo = (asking: Asking, method: CommandRow['method'], number: number): CommandRow => ({
  ...asking,
  method,
  number,
  input: null,
  status: 'done',
  issued: 0,
})

/** Whether the agent still has to count it. */
export const isOpen = ({ status }: CommandRow): boolean => status === 'issued' || status === 'cancelled'

/** Rings the agent with a command's row; safe at any time and any number of times. */
export async function sendCommand(platform: Platform, to: Guest, row: CommandRow): Promise<void> {
  const { number, method, requestId } = row
  const message: GuestMessage =
    row.status === 'cancelled'
      ? { kind: 'command', number, method, input: null, requestId, skip: true }
      : { kind: 'command', number, method, requestId, input: await unlocked(platform, row) }
  await deliver(platform, to, message, `command-${number}`, platform.clock.now() + 3_600_000)
}

const unlocked = (platform: Platform, row: CommandRow) =>
  platform.vault.unlock(guest.methods[row.method].input, row.input, commandOwner(row))

/** The commands above the last done one that the agent has to count, in order; 50 at most. */
export async function openCommands({ store }: Platform, { instance, done }: Guest): Promise<CommandRow[]> {
  const after = `command#${commandId(instance, done)}`
  const rows = await commands.ofInstance(store, instance, { after, limit: MOST_OPEN })
  // Ended ones above it were reported out of order, and have lost their secrets.
  return rows.map(({ body }) => body).filter(isOpen)
}

/** Sends every open command again, in order; none while as many messages lie in the agent's queue and are not fetched. */
export async function resendCommands(platform: Platform, to: Guest, known?: CommandRow[]): Promise<void> {
  const open = known ?? (await openCommands(platform, to))
  const waiting = await platform.queue.backlog?.(guestTopic(to.instance, to.generation))
  if (waiting !== undefined && waiting >= open.length) return
  for (const row of open) await sendCommand(platform, to, row)
}

async function deliver(
  platform: Platform,
  to: Guest,
  message: GuestMessage,
  id: string,
  expires: number,
): Promise<void> {
  const { queue, sealer } = platform
  const { instance, generation, project } = to
  const outer = {
    subject: guestSubject(instance),
    generation,
    direction: 'down',
    kind: message.kind,
    id,
    expires,
  } as const
  const body = await sealer.seal(outer, message)
  try {
    await queue.send(guestTopic(instance, generation), [{ body, group: project }])
  } catch (error) {
    // The agent's queue is not there (yet, or any more): the command's row stands, a query expires.
    if (!(error instanceof NoSuchTopic)) throw error
  }
}

async function found({ store }: Platform, { project, instance }: Asking): Promise<Stored<Guest>> {
  const item = await guests.get(store, project, instance)
  if (!item) throw new Fault(404, `Instance ${instance} has no agent.`)
  return item
}

/** Waits until the command has ended. Throws what it failed with, or 504: then the command stays, and will still be done. */
export async function ended(platform: Platform, row: CommandRow): Promise<unknown> {
  const { project, instance, number } = row
  if (platform.unit?.dry) return undefined
  const done = await platform.bells.until(commandBell(instance, number), COMMAND_MS, async () => {
    const now = await commands.get(platform.store, project, commandId(instance, number))
    return now && now.body.status !== 'issued' ? now.body : undefined
  })
  if (!done) throw new Fault(504, `The agent of instance ${instance} has not done it yet; it stays asked for.`)
  if (done.status === 'cancelled') throw new Fault(409, 'The operation was cancelled.')
  if (done.status === 'failed') throw new Fault(done.error?.code ?? 500, done.error?.message ?? 'failed')
  return done.result
}

/** The enrolment secret of an instance's generation: derived, so that it is stored nowhere but in its user-data. */
export async function enrolSecret(keys: Keys, instance: string, generation: number): Promise<string> {
  const key = await keys.derive(await keys.currentId(), 'enrol', instance, generation)
  return Buffer.from(key).toString('base64url')
}
