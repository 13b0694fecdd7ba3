import { hostSubject } from '../lib/contracts/conductor.ts'
import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import type { Sealer } from '../lib/kit/crypto/seal.ts'
import { messageOf } from '../lib/kit/errors.ts'
import type { MachineState } from '../lib/ports/compute.ts'
import type { Queue } from '../lib/ports/queue.ts'
import type { HostConfig } from './config.ts'
import type { PartRef } from './daemon.ts'

/** How long a report is valid. */
const REPORT_MS = 600_000

interface ReportsParts {
  config: Pick<HostConfig, 'hostId' | 'conductor'>
  queue: Pick<Queue, 'send'>
  sealer: Sealer
  clock: Clock
  random: Random
  log: Log
}

/** Sends a daemon's reports to the conductor, sealed and numbered. */
export class Reports {
  readonly #parts: ReportsParts
  #lastSequence = 0

  constructor(parts: ReportsParts) {
    this.#parts = parts
  }

  /** Never rejects for a queue that cannot be reached: the control plane asks again when it is back. */
  async send(method: 'update_server' | 'update_volume', part: PartRef, state: MachineState): Promise<void> {
    const { config, queue, sealer, clock, random, log } = this.#parts
    const header = {
      subject: hostSubject(config.hostId),
      generation: 0,
      direction: 'up',
      kind: 'report',
      id: random.uuid(),
      expires: clock.now() + REPORT_MS,
    } as const
    const body = await sealer.seal(header, { method, input: { ...part, state }, sequence: this.#nextSequence() })
    await queue.send(config.conductor, [{ body }]).catch(error => {
      log.warn({ method, error: messageOf(error) }, 'sending a report failed')
    })
  }

  /** Rises with every report, over restarts too. */
  #nextSequence(): number {
    this.#lastSequence = Math.max(this.#lastSequence + 1, this.#parts.clock.now() * 1000)
    return this.#lastSequence
  }
}
