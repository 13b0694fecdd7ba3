import { type HostReport, hostSubject } from '../lib/contracts/conductor.ts'
import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import type { Sealer } from '../lib/kit/crypto/seal.ts'
import { messageOf } from '../lib/kit/errors.ts'
import type { Sequence } from '../lib/kit/os/sequence.ts'
import type { Queue } from '../lib/ports/queue.ts'
import type { HostConfig } from './config.ts'

const VERSION = '0.1.0'
/** How long a report is valid. */
const REPORT_MS = 600_000
/** How often a host says that it is alive, and after how long without that it counts as silent. */
export const HOST_HEARTBEAT_MS = 5_000
export const HOST_LEASE_MS = 20_000

/** What a host has, as its configuration says. */
type Capacity = Pick<HostConfig, 'ramMb' | 'runtime' | 'network'>

/** The report of what a host has; undefined if its configuration does not say how much memory. */
export function hostReport({ ramMb, runtime, network }: Capacity): HostReport | undefined {
  if (ramMb === undefined) return undefined
  const engines = Object.entries(runtime.engines).map(([manager, versions]) => [manager, Object.keys(versions)])
  return { ram_mb: ramMb, engines: Object.fromEntries(engines), network, version: VERSION, lease_ms: HOST_LEASE_MS }
}

interface ReportsParts {
  config: Pick<HostConfig, 'hostId' | 'conductor'> & Capacity
  queue: Pick<Queue, 'send'>
  sealer: Sealer
  clock: Clock
  random: Random
  /** Numbers the reports. */
  sequence: Sequence
  log: Log
}

/** Sends a daemon's reports to the conductor, sealed and numbered. */
export class Reports {
  readonly #parts: ReportsParts

  constructor(parts: ReportsParts) {
    this.#parts = parts
  }

  /** Never rejects for a queue that cannot be reached: the control plane asks again when it is back. */
  async send(method: 'update_server' | 'update_volume' | 'update_host', input: object): Promise<void> {
    const { config, queue, sealer, clock, random, log, sequence } = this.#parts
    const header = {
      subject: hostSubject(config.hostId),
      generation: 0,
      direction: 'up',
      kind: 'report',
      id: random.uuid(),
      expires: clock.now() + REPORT_MS,
    } as const
    const body = await sealer.seal(header, { method, input, sequence: await sequence.next() })
    await queue.send(config.conductor, [{ body }]).catch(error => {
      log.warn({ method, error: messageOf(error) }, 'sending a report failed')
    })
  }

  /** Says what the host has, now and again and again until `signal` is aborted. */
  async announce(signal: AbortSignal): Promise<void> {
    const { config, clock } = this.#parts
    const report = hostReport(config)
    while (report && !signal.aborted) {
      await this.send('update_host', report)
      await clock.sleep(HOST_HEARTBEAT_MS, signal)
    }
  }
}
