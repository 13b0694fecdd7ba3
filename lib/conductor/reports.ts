import {
  type AgentRecord,
  agentAnswers,
  agentCommands,
  agentRecords,
  answerId,
  answerSignal,
  type CommandRecord,
  commandId,
  commandSignal,
  isPending,
} from '../agents/agent.ts'
import { resendCommands } from '../agents/redeliver.ts'
import {
  CONDUCTOR_TOPIC,
  type ConductorMethods,
  conductor,
  type Report,
  Report as ReportSchema,
} from '../contracts/conductor.ts'
import { guest as guestWire } from '../contracts/guest/guest.ts'
import { elapsedMs } from '../kit/clock.ts'
import { BadSeal, type Envelope, readEnvelope } from '../kit/crypto/seal.ts'
import { withOptimisticRetry } from '../kit/records.ts'
import { BadMessage, type Handlers, serve } from '../kit/rpc/contract.ts'
import {
  instances,
  isBusyOrBroken,
  projectIndex,
  reportAgent,
  reportServer,
  updateInstance,
} from '../model/instance.ts'
import { recordState } from '../platform/machine-state.ts'
import type { Platform } from '../platform/platform.ts'
import type { MachineState } from '../ports/compute.ts'
import { wakeOperationsOf } from '../taskmanager/runner.ts'
import { registerHost } from './hosts.ts'
import { UnawaitedAnswers } from './unawaited.ts'

/** The sender of a report: an agent (with its record) or a host daemon (with its id). */
interface Reporter {
  platform: Platform
  sequence: number
  agent?: AgentRecord
  host?: string
  /** The master key of the keys that it was sealed with. */
  kid?: string
}

/** The largest message: the largest body of the queue, sealed; some backends have no limit, or another one. */
const MAX_MESSAGE_BYTES = 512 * 1024
/** The largest result of a command, as JSON: it is stored with the command. */
const MAX_RESULT_BYTES = 64 * 1024
/** How long an answer that nobody fetches is kept. */
const ANSWER_RETENTION_MS = 60_000
const COMMAND_RETENTION_MS = 86_400_000
/** At a heartbeat, commands are sent again if the last one was issued longer ago. */
const RESEND_AFTER_MS = 1_000

/** Handles one message from the conductor's queue. A message that is not genuine is counted, logged and dropped. */
export async function handleReport(platform: Platform, body: string): Promise<void> {
  try {
    await receiveMessage(platform, body)
  } catch (error) {
    if (!(error instanceof BadSeal || error instanceof BadMessage)) throw error
    platform.metrics.count('coffer_messages_dropped_total', { topic: CONDUCTOR_TOPIC, why: error.name })
    platform.log.warn({ dropped: error.name, why: error.message }, 'message dropped')
  }
}

/**
 * Verifies one message from the conductor's queue. An answer goes to its waiting caller, or is stored for it, still
 * sealed. A report is dispatched to its handler. Throws BadSeal or BadMessage for a message that must be dropped; after
 * any other error it must be delivered again.
 */
export async function receiveMessage(platform: Platform, body: string): Promise<void> {
  if (Buffer.byteLength(body) > MAX_MESSAGE_BYTES) throw new BadMessage('too large')
  const envelope = readEnvelope(body)
  if (envelope.direction !== 'up') throw new BadSeal('not for the conductor')
  const [kind, id] = envelope.subject.split(':', 2)
  const agent = kind === 'guest' ? await currentAgent(platform, String(id), envelope) : undefined
  const isAnswer = envelope.kind === 'answer' && agent !== undefined
  if (!isAnswer && envelope.kind !== 'report') throw new BadSeal('neither an answer of an agent nor a report')
  // Opened before anything is stored: a forged message must leave no record.
  const payload = await platform.sealer.open(envelope)
  // Reports are ordered by their numbers: the clock of the machine that sent one may be wrong by days.
  if (isAnswer && envelope.expires < platform.clock.now()) throw new BadSeal('expired')
  if (isAnswer) return storeAnswer(platform, envelope, body)
  const report = ReportSchema.safeParse(payload)
  if (!report.success) throw new BadMessage('not a report')
  const sender = agent ? { agent } : kind === 'host' ? { host: String(id), kid: envelope.kid } : {}
  await dispatchReport(platform, sender, report.data)
}

async function currentAgent({ store }: Platform, id: string, { generation }: Envelope): Promise<AgentRecord> {
  const pointer = await projectIndex.get(store, '*', id)
  const agent = pointer && (await agentRecords.get(store, pointer.body.project, id))
  if (!agent) throw new BadSeal('the instance does not exist')
  if (agent.body.generation !== generation) throw new BadSeal('from another generation of the agent')
  return agent.body
}

const unawaited = new UnawaitedAnswers()

async function storeAnswer(
  { store, signals, clock }: Platform,
  { subject, id }: Envelope,
  body: string,
): Promise<void> {
  if (signals.deliver(answerSignal(subject, id), body)) return
  if (!unawaited.admit(clock, subject, Buffer.byteLength(body))) throw new BadMessage('too many answers for nobody')
  const change = {
    op: 'put',
    key: agentAnswers.key('*', answerId(subject, id)),
    body: { envelope: body },
    expires: clock.now() + ANSWER_RETENTION_MS,
  } as const
  await store.transact([change])
  signals.notify(answerSignal(subject, id))
}

async function dispatchReport(
  platform: Platform,
  sender: Pick<Reporter, 'agent' | 'host' | 'kid'>,
  { method, input, sequence }: Report,
): Promise<void> {
  const isAllowed = method.startsWith('update_') ? sender.host !== undefined : sender.agent !== undefined
  if (!isAllowed) throw new BadMessage(`${method} is not allowed for this sender`)
  await dispatch(method, input, { platform, sequence, ...sender })
}

const handlers: Handlers<ConductorMethods, Reporter> = {
  async heartbeat(input, { platform, agent, sequence }) {
    if (!agent) return
    await endSecretEnrolment(platform, agent)
    const now = platform.clock.now()
    platform.metrics.recordHeartbeat(agent.instance, now)
    const { service_status: status, used_bytes: usedBytes, message, lease } = input
    const report = { status, at: now, sequence, message, lease, usedBytes }
    const updated = await updateInstance(platform, agent.project, agent.instance, instance =>
      reportAgent(instance, report),
    )
    if (updated) await wakeOperationsOf(platform, updated)
    if (agent.lastIssued > agent.lastDone && elapsedMs(now, agent.lastIssuedAt) > RESEND_AFTER_MS)
      await resendCommands(platform, agent)
  },

  async notify_end({ number, result }, { platform, agent }) {
    if (agent) await completeCommand(platform, agent, number, outcomeOf(result))
  },

  async notify_exc_info({ number, code, message }, { platform, agent }) {
    if (agent) await completeCommand(platform, agent, number, { status: 'failed', error: { code, message } })
  },

  update_server: updateMachine,
  update_volume: updateMachine,

  async update_host(report, { platform, host, sequence, kid }) {
    if (host !== undefined) await registerHost(platform, host, report, { sequence, kid })
  },
}

const dispatch = serve(conductor, handlers)

async function updateMachine(
  input: Omit<Parameters<typeof handleMachineState>[1], 'sequence'>,
  reporter: Reporter,
): Promise<void> {
  await assertOnHost(reporter, input)
  await handleMachineState(reporter.platform, { ...input, sequence: reporter.sequence })
}

/** Throws BadMessage if the instance is on another host. One that is gone is on none. */
async function assertOnHost(
  { platform: { store, compute }, host }: Reporter,
  { project, instance: id }: { project: string; instance: string },
): Promise<void> {
  const instance = await instances.get(store, project, id)
  if (!instance) return
  const { host: expected = compute.defaultHost } = instance.body
  if (expected !== undefined && expected !== host) throw new BadMessage(`the instance is not on host ${host}`)
}

function outcomeOf(result: unknown): Pick<CommandRecord, 'status' | 'result' | 'error'> {
  if (Buffer.byteLength(JSON.stringify(result ?? null)) <= MAX_RESULT_BYTES) return { status: 'done', result }
  return { status: 'failed', error: { code: 500, message: 'The result of the command is too large.' } }
}

/** After the first report of a generation, its agent cannot enrol by secret any more. */
async function endSecretEnrolment(
  { store }: Platform,
  { project, instance, generation, confirmedGeneration }: AgentRecord,
): Promise<void> {
  if (confirmedGeneration === generation) return
  await withOptimisticRetry(store, async () => {
    const item = await agentRecords.get(store, project, instance)
    const current = item?.body.generation === generation ? item : undefined
    return {
      changes: current ? [agentRecords.replace(current, { ...current.body, confirmedGeneration: generation })] : [],
      result: undefined,
    }
  })
}

/** Stores the command's outcome, erases its secrets, and wakes whoever waits for it. */
async function completeCommand(
  platform: Platform,
  { project, instance }: AgentRecord,
  number: number,
  outcome: Pick<CommandRecord, 'status' | 'result' | 'error'>,
): Promise<void> {
  const { store, vault, clock } = platform
  const ended = await withOptimisticRetry(store, async () => {
    const agent = await agentRecords.get(store, project, instance)
    const row = await agentCommands.get(store, project, commandId(instance, number))
    if (!agent || !row || !isPending(row.body)) return { changes: [], result: false }
    const done = await lastDoneInOrder(platform, agent.body, number)
    const input = await vault.erase(guestWire.methods[row.body.method].input, row.body.input)
    const changes = [
      agentCommands.replace(row, { ...row.body, ...outcome, input }, { expires: clock.now() + COMMAND_RETENTION_MS }),
      agentRecords.replace(
        agent,
        { ...agent.body, lastDone: done },
        done >= agent.body.lastIssued ? { due: undefined } : {},
      ),
    ]
    return { changes, result: true }
  })
  if (!ended) return
  platform.signals.notify(commandSignal(instance, number))
  const item = await instances.get(store, project, instance)
  if (item) await wakeOperationsOf(platform, item.body)
}

/** The highest number up to which all commands have ended, now that `number` has: reports may overtake each other. */
async function lastDoneInOrder(
  { store }: Platform,
  { project, instance, lastDone, lastIssued }: AgentRecord,
  number: number,
): Promise<number> {
  let last = lastDone
  while (last < lastIssued) {
    const next = last + 1
    const row = next === number ? undefined : await agentCommands.get(store, project, commandId(instance, next))
    if (row && isPending(row.body)) break
    last = next
  }
  return last
}

/** Stores the state of a part of a machine, updates the instance, and wakes the operations that wait for it. */
export async function handleMachineState(
  platform: Platform,
  report: { project: string; instance: string; name: string; state: MachineState; sequence: number },
): Promise<void> {
  if (!(await recordState(platform.store, platform.clock.now(), report))) return
  const { project, instance: id, name, state } = report
  // A server that fails or recovers by itself shows on the instance. During an operation its steps write the state.
  const updated = await updateInstance(platform, project, id, current =>
    name.startsWith('server-') && !isBusyOrBroken(current) && state.status !== 'GONE'
      ? reportServer(current, state, platform.clock.now())
      : undefined,
  )
  const instance = updated ?? (await instances.get(platform.store, project, id))?.body
  // No operation waits for a part that is still being built.
  if (instance && state.status !== 'BUILD') await wakeOperationsOf(platform, instance)
}
