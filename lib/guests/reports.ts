import { type ConductorMethods, conductor, type Report, Report as ReportSchema } from '../contracts/conductor.ts'
import { guest as guestWire } from '../contracts/guest.ts'
import { changeInstance, type Instance, instances, pointers } from '../instances/instance.ts'
import { BadMessage, type Handlers, serve } from '../kit/contract.ts'
import { retrying } from '../kit/records.ts'
import { BadSeal, type Envelope, readEnvelope } from '../kit/seal.ts'
import { ringOperation } from '../operations/operation.ts'
import type { Facts } from '../platform/compute/compute.ts'
import { observe } from '../platform/compute/facts.ts'
import type { Platform } from '../platform/platform.ts'
import {
  answerBell,
  answerId,
  answers,
  type CommandRow,
  commandBell,
  commandId,
  commands,
  type Guest,
  guests,
  isOpen,
  resendCommands,
} from './guest.ts'

/** Who reports: an agent (with its guest record) or a host daemon. */
interface Reporter {
  platform: Platform
  sent: number
  guest?: Guest
}

/** An answer nobody fetched is forgotten after this. */
const ANSWER_MS = 60_000
const DONE_ROW_MS = 86_400_000

/**
 * Takes one message from the conductor's queue: hands an answer to its caller or keeps it for him, sealed as it came but
 * known to be genuine; carries out a report.
 * Throws BadSeal or BadMessage for what has to be dropped; any other error means: deliver it again.
 */
export async function receive(platform: Platform, body: string): Promise<void> {
  const envelope = readEnvelope(body)
  if (envelope.direction !== 'up') throw new BadSeal('not for the conductor')
  if (envelope.expires < platform.clock.now()) throw new BadSeal('expired')
  const [kind, id] = envelope.subject.split(':', 2)
  const guest = kind === 'guest' ? await currentGuest(platform, String(id), envelope) : undefined
  const answered = envelope.kind === 'answer' && guest
  if (!answered && envelope.kind !== 'report') throw new BadSeal('neither answer nor report')
  // What is forged leaves nothing.
  const opened = await platform.sealer.open(envelope)
  if (answered) return keep(platform, envelope, body)
  const report = ReportSchema.safeParse(opened)
  if (!report.success) throw new BadMessage('not a report')
  await carryOut(platform, guest, report.data)
}

async function currentGuest({ store }: Platform, id: string, { generation }: Envelope): Promise<Guest> {
  const pointer = await pointers.get(store, '*', id)
  const guest = pointer && (await guests.get(store, pointer.body.project, id))
  if (!guest) throw new BadSeal('of no instance')
  if (guest.body.generation !== generation) throw new BadSeal('of an older generation')
  return guest.body
}

async function keep({ store, bells, clock }: Platform, { subject, id }: Envelope, body: string): Promise<void> {
  if (bells.hand(answerBell(subject, id), body)) return
  const key = answerId(subject, id)
  const change = {
    op: 'put',
    key: answers.key('*', key),
    body: { envelope: body },
    expires: clock.now() + ANSWER_MS,
  } as const
  await store.transact([change])
  bells.ring(answerBell(subject, id))
}

async function carryOut(platform: Platform, guest: Guest | undefined, report: Report): Promise<void> {
  const fromMachine = report.method.startsWith('update_')
  if (fromMachine === (guest !== undefined)) throw new BadMessage(`${report.method} is not this reporter's`)
  await dispatch(report.method, report.input, { platform, sent: report.sent, ...(guest && { guest }) })
}

const handlers: Handlers<ConductorMethods, Reporter> = {
  async heartbeat(input, { platform, guest, sent }) {
    if (!guest) return
    await voidSecret(platform, guest)
    const at = platform.clock.now()
    platform.metrics.heard(guest.instance, at)
    const { service_status: status, used, message, lease } = input
    const known = await changeInstance(platform, guest.project, guest.instance, instance => {
      if ((instance.service?.sent ?? 0) >= sent) return undefined
      const told = { ...(message !== undefined && { message }), ...(lease !== undefined && { lease }) }
      const service = { status, at, sent, ...told }
      return { ...instance, service, volume: { ...instance.volume, ...(used !== undefined && { used }) } }
    })
    if (known) await ringOf(platform, known)
    if (guest.issued > guest.done && at - guest.issuedAt > 1_000) await resendCommands(platform, guest)
  },

  async notify_end({ number, result }, { platform, guest }) {
    if (guest) await end(platform, guest, number, { status: 'done', result })
  },

  async notify_exc_info({ number, code, message }, { platform, guest }) {
    if (guest) await end(platform, guest, number, { status: 'failed', error: { code, message } })
  },

  update_server: (input, { platform, sent }) => observed(platform, { ...input, sent }),
  update_volume: (input, { platform, sent }) => observed(platform, { ...input, sent }),
}

const dispatch = serve(conductor, handlers)

/** The first report of a generation ends its enrolment by secret. */
async function voidSecret({ store }: Platform, { project, instance, generation, heard }: Guest): Promise<void> {
  if (heard === generation) return
  await retrying(store, async () => {
    const item = await guests.get(store, project, instance)
    const current = item?.body.generation === generation ? item : undefined
    return {
      changes: current ? [guests.replace(current, { ...current.body, heard: generation })] : [],
      result: undefined,
    }
  })
}

/** Marks the command's row, erases its secrets, and wakes whoever waits for it. */
async function end(
  platform: Platform,
  { project, instance }: Guest,
  number: number,
  outcome: Pick<CommandRow, 'status' | 'result' | 'error'>,
): Promise<void> {
  const { store, vault, clock } = platform
  const ended = await retrying(store, async () => {
    const guest = await guests.get(store, project, instance)
    const row = await commands.get(store, project, commandId(instance, number))
    if (!guest || !row || !isOpen(row.body)) return { changes: [], result: false }
    const done = await doneUpTo(platform, guest.body, number)
    const input = await vault.erase(guestWire.methods[row.body.method].input, row.body.input)
    const changes = [
      commands.replace(row, { ...row.body, ...outcome, input }, { expires: clock.now() + DONE_ROW_MS }),
      guests.replace(guest, { ...guest.body, done }, done >= guest.body.issued ? { due: undefined } : {}),
    ]
    return { changes, result: true }
  })
  if (!ended) return
  platform.bells.ring(commandBell(instance, number))
  const item = await instances.get(store, project, instance)
  if (item) await ringOf(platform, item.body)
}

/** The last command of the unbroken row of ended ones, now that `number` has ended: a report may overtake another. */
async function doneUpTo(
  { store }: Platform,
  { project, instance, done, issued }: Guest,
  number: number,
): Promise<number> {
  let last = done
  while (last < issued) {
    const next = last + 1
    const row = next === number ? undefined : await commands.get(store, project, commandId(instance, next))
    if (row && isOpen(row.body)) break
    last = next
  }
  return last
}

/** Keeps what was told of a part of a machine, shows it on its instance, and rings what waits for it. */
export async function observed(
  platform: Platform,
  report: { project: string; instance: string; name: string; facts: Facts; sent: number },
): Promise<void> {
  if (!(await observe(platform.store, platform.clock.now(), report))) return
  const { project, instance: id, name, facts } = report
  // A change of a running server (its daemon gave up on it, or found it again) shows on the instance.
  const instance = await changeInstance(platform, project, id, now =>
    name.startsWith('server-') && now.task === 'NONE' && facts.status !== 'GONE'
      ? withServer(now, facts, platform.clock.now())
      : undefined,
  )
  const item = instance ?? (await instances.get(platform.store, project, id))?.body
  // Nothing waits for a machine that is still being made.
  if (item && facts.status !== 'BUILD') await ringOf(platform, item)
}

function withServer(instance: Instance, facts: Facts, now: number): Instance {
  const { fault: shown, ...kept } = instance
  const before = instance.server
  const { status, addresses = before?.addresses, fault: told } = facts
  const its = shown?.message === before?.fault ? shown : undefined
  const fault = told === undefined || told === its?.message ? its : { message: told, created: now, details: null }
  const server: NonNullable<Instance['server']> = { status, addresses }
  if (!fault) return { ...instance, server }
  if (status !== 'ACTIVE') server.fault = fault.message
  return { ...kept, server, ...((status !== 'ACTIVE' || told !== undefined) && { fault }) }
}

/** Rings what is at work on the instance, and what that made turn round: both may wait for what was reported. */
async function ringOf(platform: Platform, { project, id, operation, preempted }: Instance): Promise<void> {
  for (const one of [operation, preempted]) {
    if (one) await ringOperation(platform, { ...one, project, instance: id, requestId: one.id })
  }
}
