import { type ConductorMethods, conductor } from '../lib/contracts/conductor.ts'
import { type GuestAnswer, GuestMessage, type GuestMethods, guest } from '../lib/contracts/guest.ts'
import { type Driver, Refused, type Service } from '../lib/datastores/driver.ts'
import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import { BadMessage, type Client, client, serve } from '../lib/kit/contract.ts'
import { reason } from '../lib/kit/errors.ts'
import { type Envelope, readEnvelope, type Sealer } from '../lib/kit/seal.ts'
import type { Message, Queue } from '../lib/platform/queue/queue.ts'
import { handlers } from './handlers.ts'
import type { Ended, Journal } from './journal.ts'
import { patiently } from './patience.ts'
import { isRemoval, isThere } from './removals.ts'

/** Everything that an agent works with; its main.ts makes it for a real machine, a test for a simulated one. */
export interface AgentParts {
  subject: string
  generation: number
  topic: string
  conductor: string
  queue: Queue
  sealer: Sealer
  journal: Journal
  driver: Driver & Service
  clock: Clock
  random: Random
  log: Log
  version: string
  /** Before each query. */
  asked(): void
  /** After a command that succeeded: `prepare` makes the database serve. */
  succeeded(method: string): Promise<void> | void
  failed(method: string, message: string): Promise<void> | void
  health(): { status: Parameters<Client<ConductorMethods, never>['heartbeat']>[0]['service_status']; message?: string }
}

type Command = Extract<GuestMessage, { kind: 'command' }>

const REPORT_MS = 600_000
const LEASE_MS = 60_000
/** How often the use of the volume is looked at, and what change of it is told at once. */
const LOOK_MS = 10_000
const USED_STEP = 16 * 1024 * 1024
/** After a heartbeat that could not be sent. */
const AGAIN_MS = 1_000

/** Answers queries at once, carries out commands strictly one after the other, reports changes and that it lives. */
export class Agent {
  readonly #parts: AgentParts
  readonly #dispatch = serve(guest, handlers)
  readonly #conductor: Client<ConductorMethods, never>
  /** Commands that came early, by number: they wait until it is their turn, or are sent again after a crash. */
  readonly #early = new Map<number, Command>()
  /** Queries seen, until they expire: none is answered twice. */
  readonly #seen = new Map<string, number>()
  #working = false
  #lastSent = 0
  #beats = 0
  #told = { at: 0, used: 0 }

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
    const { queue, topic, clock, log } = this.#parts
    void this.#keepLease(signal)
    while (!signal.aborted) {
      try {
        for (const message of await queue.receive(topic, { max: 10, waitMs: 20_000, signal })) void this.take(message)
      } catch (error) {
        log.warn({ error: reason(error) }, 'queue not reached')
        await clock.sleep(500, signal)
      }
    }
  }

  /** Tells the conductor how the database is, and the last command done; tries until it is told or superseded. */
  async heartbeat(): Promise<void> {
    const { clock, log } = this.#parts
    const mine = ++this.#beats
    while (this.#beats === mine) {
      try {
        return await this.#beat()
      } catch (error) {
        log.warn({ error: reason(error) }, 'heartbeat not sent')
      }
      await clock.sleep(AGAIN_MS)
    }
  }

  async #beat(): Promise<void> {
    const { journal, version, health, clock } = this.#parts
    const { status, message } = health()
    const used = await this.#used()
    const told = { service_status: status, last: journal.last(), version, ...(used !== undefined && { used }) }
    await this.#conductor.heartbeat({ ...told, ...(message !== undefined && { message: message.slice(0, 2_000) }) })
    this.#told = { at: clock.now(), used: used ?? 0 }
  }

  #used(): Promise<number | undefined> {
    return this.#parts.driver.used_bytes().catch(() => undefined)
  }

  /** Tells that it lives, now and then, and soon when the volume fills. */
  async #keepLease(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts
    await this.heartbeat()
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal)
      const { at, used } = this.#told
      const grown = Math.abs(((await this.#used()) ?? used) - used) >= USED_STEP
      if (grown || clock.now() - at >= LEASE_MS) await this.heartbeat()
    }
  }

  /** Takes one message; resolves when what it asked for is done. Never rejects. */
  async take({ body, receipt }: Message): Promise<void> {
    const { queue, topic, log } = this.#parts
    // The store keeps what matters: a message has done its work once it was heard.
    void queue.ack(topic, [receipt]).catch(() => {})
    try {
      const { envelope, message } = await this.#opened(body)
      if (message.kind === 'query') await this.#answer(envelope, message)
      else await this.#enqueue(message)
    } catch (error) {
      log.warn({ error: reason(error) }, 'message dropped')
    }
  }

  async #opened(body: string): Promise<{ envelope: Envelope; message: GuestMessage }> {
    const { subject, generation, sealer, clock } = this.#parts
    const envelope = readEnvelope(body)
    const mine = envelope.subject === subject && envelope.generation === generation && envelope.direction === 'down'
    if (!mine) throw new BadMessage('not for this agent')
    if (envelope.expires < clock.now()) throw new BadMessage('expired')
    const message = GuestMessage.parse(await sealer.open(envelope))
    if (message.kind !== envelope.kind) throw new BadMessage('of another kind than its envelope')
    return { envelope, message }
  }

  async #answer(
    { id, expires }: Envelope,
    { method, input, requestId }: Extract<GuestMessage, { kind: 'query' }>,
  ): Promise<void> {
    if (this.#repeated(id, expires)) return
    this.#parts.asked()
    const { subject, generation, sealer, queue, driver, log } = this.#parts
    if (Object.hasOwn(guest.methods, method) && guest.methods[method as keyof GuestMethods].kind !== 'query') {
      throw new BadMessage('a command came as a query')
    }
    log.debug({ method, requestId }, 'query')
    const answer: GuestAnswer = await this.#dispatch(method, input, driver).then(
      result => ({ result }),
      (error: unknown) => {
        if (error instanceof Refused) return { refused: { code: error.code, message: error.message } }
        log.warn({ method, requestId, error: reason(error) }, 'query failed')
        return { failed: 'The agent could not answer.' }
      },
    )
    const body = await sealer.seal({ subject, generation, direction: 'up', kind: 'answer', id, expires }, answer)
    await queue.send(this.#parts.conductor, [{ body }])
    // Who asks whether it lives wants to know how it is.
    if (method === 'rpc_ping') void this.heartbeat()
  }

  #repeated(id: string, expires: number): boolean {
    const now = this.#parts.clock.now()
    for (const [known, until] of this.#seen) {
      if (until >= now) break
      this.#seen.delete(known)
    }
    if (this.#seen.has(id)) return true
    this.#seen.set(id, expires)
    return false
  }

  async #enqueue(command: Command): Promise<void> {
    const { journal } = this.#parts
    if (command.number <= journal.last()) {
      await this.#tellEnd(journal.find(command.number) ?? { number: command.number })
      return
    }
    this.#early.set(command.number, command)
    if (!this.#working) await this.#work()
  }

  async #work(): Promise<void> {
    const { journal, log } = this.#parts
    this.#working = true
    try {
      for (;;) {
        const next = this.#early.get(journal.last() + 1)
        if (!next) return
        const ended = await this.#carryOut(next)
        await journal.add(ended)
        this.#early.delete(next.number)
        await this.#tellEnd(ended)
      }
    } catch (error) {
      // The journal could not be written (a full disk): the command is sent again, and done again.
      log.error({ error: reason(error) }, 'command not ended')
      this.#early.clear()
    } finally {
      this.#working = false
    }
  }

  async #carryOut({ number, method, input, requestId, skip }: Command): Promise<Ended> {
    const { driver, log, succeeded, failed } = this.#parts
    if (skip) return { number, failed: { code: 409, message: 'cancelled' } }
    const trace = log.child({ method, number, requestId })
    const begun = await this.#begun(number, method, input)
    try {
      const work = () => this.#dispatch(method, input, driver)
      const result = await patiently(this.#parts, work).catch((error: unknown) => {
        if (!begun || !(error instanceof Refused) || error.code !== 404) throw error
        trace.info({}, 'command found done')
        return null
      })
      await succeeded(method)
      trace.info({}, 'command done')
      return { number, result }
    } catch (error) {
      trace.error({ error: reason(error) }, 'command failed')
      const refused = error instanceof Refused
      const message = refused ? error.message : `${method} failed: ${reason(error)}`
      await failed(method, message)
      return { number, failed: { code: refused ? error.code : 500, message: message.slice(0, 2_000) } }
    }
  }

  /**
   * Remembers on the disk, before it is done, a removal whose repetition could not be told from a wish for what never
   * was; answers whether it had been begun already when the agent died. One that finds nothing does not begin.
   */
  async #begun(number: number, method: string, input: unknown): Promise<boolean> {
    const { journal, driver } = this.#parts
    if (!isRemoval(method)) return false
    if (journal.begun(number)) return true
    if (await isThere(method, input, driver)) await journal.begin(number)
    return false
  }

  async #tellEnd({ number, result, failed }: Ended): Promise<void> {
    if (failed) await this.#conductor.notify_exc_info({ number, ...failed })
    else await this.#conductor.notify_end({ number, result: result ?? null })
  }

  async #report(method: string, input: unknown): Promise<void> {
    const { subject, generation, sealer, queue, random, clock } = this.#parts
    this.#lastSent = Math.max(this.#lastSent + 1, clock.now() * 1000)
    const outer = { subject, generation, direction: 'up', kind: 'report', id: random.uuid() } as const
    const body = await sealer.seal(
      { ...outer, expires: clock.now() + REPORT_MS },
      { method, input, sent: this.#lastSent },
    )
    await queue.send(this.#parts.conductor, [{ body }])
  }
}
