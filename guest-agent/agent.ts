import { type ConductorMethods, conductor } from '../lib/contracts/conductor.ts'
import { type GuestAnswer, GuestMessage, type GuestMethods, guest } from '../lib/contracts/guest/guest.ts'
import { RejectedByDatastore } from '../lib/datastores/driver.ts'
import { elapsedMs, type Random } from '../lib/kit/clock.ts'
import { type Envelope, readEnvelope, type Sealer } from '../lib/kit/crypto/seal.ts'
import { messageOf } from '../lib/kit/errors.ts'
import type { Sequence } from '../lib/kit/os/sequence.ts'
import { BadMessage, type Client, client } from '../lib/kit/rpc/contract.ts'
import type { Message, Queue } from '../lib/ports/queue.ts'
import { dispatch, type ExecutionParts, executeCommand } from './handlers.ts'
import type { CommandEnd } from './journal.ts'

/** What an agent works with: main.ts sets it up for a real machine, tests for a simulated one. */
interface AgentParts extends ExecutionParts {
  subject: string
  generation: number
  topic: string
  conductor: string
  queue: Queue
  sealer: Sealer
  random: Random
  /** Numbers its reports. */
  sequence: Sequence
  version: string
  /** Called before each query. */
  onQuery(): void
  /** The longest time between two heartbeats, in milliseconds; a minute if left out. */
  leaseMs?: number
  health(): { status: Parameters<Client<ConductorMethods, never>['heartbeat']>[0]['service_status']; message?: string }
}

type Command = Extract<GuestMessage, { kind: 'command' }>

/** How long a report is valid. */
const REPORT_MS = 600_000
/** On SQS each report of an agent costs a call: see docs/cost.md. */
export const LEASE_MS = { usual: 60_000, sqs: 180_000 }
/** How often the use of the volume is checked, and which change of it is reported at once. */
const USAGE_CHECK_MS = 10_000
const USAGE_STEP_BYTES = 16 * 1024 * 1024
/** How long to wait after a heartbeat, or a receive, that failed. */
const HEARTBEAT_RETRY_MS = 1_000
const RECEIVE_RETRY_MS = 500

/** What a query is told whose database has just died, as of one that is known to be down. */
const UNREACHABLE = { code: 422, message: 'The database accepts no connections at the moment.' }

/** Answers queries at once, executes commands strictly one after the other, and reports changes and heartbeats. */
export class Agent {
  readonly #parts: AgentParts
  readonly #conductor: Client<ConductorMethods, never>
  /** Commands that came before their turn, by number. After a crash they are sent again. */
  readonly #early = new Map<number, Command>()
  /** Queries that were received, until they expire: none is answered twice. */
  readonly #receivedQueries = new Map<string, number>()
  #working = false
  #heartbeats = 0
  #lastHeartbeat = { time: 0, usedBytes: 0 }

  constructor(parts: AgentParts) {
    this.#parts = parts
    const unsupported = () => Promise.reject(new Error('the conductor takes casts only'))
    this.#conductor = client(conductor, {
      cast: (method, input) => this.#report(method, input),
      query: unsupported,
      command: unsupported,
    })
  }

  /** Receives until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    void this.#keepLease(signal)
    const { receives = 1 } = this.#parts.queue
    await Promise.all(Array.from({ length: receives }, () => this.#receive(signal)))
  }

  async #receive(signal: AbortSignal): Promise<void> {
    const { queue, topic, clock, log } = this.#parts
    while (!signal.aborted) {
      try {
        for (const message of await queue.receive(topic, { max: 10, waitMs: 20_000, signal })) void this.take(message)
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'the queue cannot be reached')
        await clock.sleep(RECEIVE_RETRY_MS, signal)
      }
    }
  }

  /** Reports the health and the last command; tries until it is sent, or a later heartbeat supersedes it. */
  async heartbeat(): Promise<void> {
    const { clock, log } = this.#parts
    const number = ++this.#heartbeats
    while (this.#heartbeats === number) {
      try {
        return await this.#sendHeartbeat()
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'sending a heartbeat failed')
      }
      await clock.sleep(HEARTBEAT_RETRY_MS)
    }
  }

  async #sendHeartbeat(): Promise<void> {
    const { journal, version, health, clock, leaseMs } = this.#parts
    const usedBytes = await this.#usedBytes()
    // Read last: a heartbeat that takes longer than the next one must not report an older health after it.
    const { status, message } = health()
    await this.#conductor.heartbeat({
      service_status: status,
      last: journal.last(),
      version,
      ...(usedBytes !== undefined && { used_bytes: usedBytes }),
      ...(message !== undefined && { message: message.slice(0, 2_000) }),
      ...(leaseMs !== undefined && { lease: leaseMs }),
    })
    this.#lastHeartbeat = { time: clock.now(), usedBytes: usedBytes ?? 0 }
  }

  #usedBytes(): Promise<number | undefined> {
    return this.#parts.driver.used_bytes().catch(() => undefined)
  }

  /** Sends heartbeats regularly, and sooner when the use of the volume changes. */
  async #keepLease(signal: AbortSignal): Promise<void> {
    const { clock, leaseMs = LEASE_MS.usual } = this.#parts
    await this.heartbeat()
    while (!signal.aborted) {
      await clock.sleep(USAGE_CHECK_MS, signal)
      const { time, usedBytes } = this.#lastHeartbeat
      const hasChanged = Math.abs(((await this.#usedBytes()) ?? usedBytes) - usedBytes) >= USAGE_STEP_BYTES
      if (hasChanged || elapsedMs(clock.now(), time) >= leaseMs) await this.heartbeat()
    }
  }

  /** Handles one message; resolves when its query or command is done. Never rejects. */
  async take({ body, receipt }: Message): Promise<void> {
    const { queue, topic, log } = this.#parts
    // Acknowledged at once: commands are in the control plane's store, which sends them again.
    void queue.ack(topic, [receipt]).catch(() => {})
    try {
      const { envelope, message } = await this.#open(body)
      if (message.kind === 'query') await this.#answer(envelope, message)
      else await this.#enqueue(message)
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'message dropped')
    }
  }

  async #open(body: string): Promise<{ envelope: Envelope; message: GuestMessage }> {
    const { subject, generation, sealer, clock } = this.#parts
    const envelope = readEnvelope(body)
    const isAddressed =
      envelope.subject === subject && envelope.generation === generation && envelope.direction === 'down'
    if (!isAddressed) throw new BadMessage('not for this agent')
    if (envelope.expires < clock.now()) throw new BadMessage('expired')
    const message = GuestMessage.parse(await sealer.open(envelope))
    if (message.kind !== envelope.kind) throw new BadMessage('its kind differs from its envelope')
    return { envelope, message }
  }

  async #answer(
    { id, expires }: Envelope,
    { method, input, requestId }: Extract<GuestMessage, { kind: 'query' }>,
  ): Promise<void> {
    if (this.#isRepeated(id, expires)) return
    this.#parts.onQuery()
    const { subject, generation, sealer, queue, driver, log } = this.#parts
    if (Object.hasOwn(guest.methods, method) && guest.methods[method as keyof GuestMethods].kind !== 'query') {
      throw new BadMessage('a command came as a query')
    }
    log.debug({ method, requestId }, 'query')
    const answer: GuestAnswer = await dispatch(method, input, driver).then(
      result => ({ result }),
      (error: unknown) => {
        if (error instanceof RejectedByDatastore) return { refused: { code: error.code, message: error.message } }
        if (driver.isConnectionLost?.(error)) return { refused: UNREACHABLE }
        log.warn({ method, requestId, error: messageOf(error) }, 'query failed')
        return { failed: 'The agent could not answer.' }
      },
    )
    const body = await sealer.seal({ subject, generation, direction: 'up', kind: 'answer', id, expires }, answer)
    await queue.send(this.#parts.conductor, [{ body }])
    // After a ping, also send a heartbeat.
    if (method === 'rpc_ping') void this.heartbeat()
  }

  #isRepeated(id: string, expires: number): boolean {
    const now = this.#parts.clock.now()
    for (const [queryId, until] of this.#receivedQueries) {
      if (until >= now) break
      this.#receivedQueries.delete(queryId)
    }
    if (this.#receivedQueries.has(id)) return true
    this.#receivedQueries.set(id, expires)
    return false
  }

  async #enqueue(command: Command): Promise<void> {
    const { journal } = this.#parts
    if (command.number <= journal.last()) {
      await this.#reportEnd(journal.find(command.number) ?? { number: command.number })
      return
    }
    this.#early.set(command.number, command)
    if (!this.#working) await this.#executeInOrder()
  }

  async #executeInOrder(): Promise<void> {
    const { journal, log } = this.#parts
    this.#working = true
    try {
      for (;;) {
        const next = this.#early.get(journal.last() + 1)
        if (!next) return
        const end = await this.#execute(next)
        await journal.add(end)
        this.#early.delete(next.number)
        await this.#reportEnd(end)
      }
    } catch (error) {
      // E.g. the journal could not be written (a full disk): the command is sent again, and executed again.
      log.error({ error: messageOf(error) }, 'recording or reporting the end of a command failed')
      this.#early.clear()
    } finally {
      this.#working = false
    }
  }

  async #execute(command: Command): Promise<CommandEnd> {
    const { number, cancelled } = command
    if (cancelled) return { number, failed: { code: 409, message: 'cancelled' } }
    return executeCommand(this.#parts, command)
  }

  async #reportEnd({ number, result, failed }: CommandEnd): Promise<void> {
    if (failed) await this.#conductor.notify_exc_info({ number, ...failed })
    else await this.#conductor.notify_end({ number, result: result ?? null })
  }

  async #report(method: string, input: unknown): Promise<void> {
    const { subject, generation, sealer, queue, random, clock, sequence } = this.#parts
    const number = await sequence.next()
    const header = { subject, generation, direction: 'up', kind: 'report', id: random.uuid() } as const
    const body = await sealer.seal({ ...header, expires: clock.now() + REPORT_MS }, { method, input, sequence: number })
    await queue.send(this.#parts.conductor, [{ body }])
  }
}
