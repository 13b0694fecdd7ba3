import { z } from 'zod'
import { cast, contract } from '../kit/rpc/contract.ts'

/** The largest number that is counted without gaps. */
const MAX_COUNT = Number.MAX_SAFE_INTEGER

// A tenant's superuser has its agent's keys: what an agent says is checked. What a valid one sends stays as it is.

/** The statuses with which an agent may refuse. */
const REFUSALS: readonly number[] = [400, 404, 409, 422, 501]
const MAX_WORDS = 2_000

/** The status of a refusal: whatever is not in the list is a fault of the agent, 500. */
export const RefusalCode = z.int().transform(code => (REFUSALS.includes(code) ? code : 500))

/** An agent's words as they can be stored and shown: cut, and without characters that a store cannot hold. */
export const Words = z.string().transform(text => {
  const words = text
    .slice(0, MAX_WORDS + 1)
    .toWellFormed()
    .replaceAll('\0', '\ufffd')
  return words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS).toWellFormed()}…` : words
})

/** Trove's statuses of a database server. */
export const ServiceStatus = z.enum([
  'new',
  'building',
  'running',
  'healthy',
  'shutdown',
  'crashed',
  'failed',
  'restarting',
])
export type ServiceStatus = z.infer<typeof ServiceStatus>

/** The state of a server or a volume, as a host reports it. */
export const MachineState = z.object({
  status: z.enum(['BUILD', 'ACTIVE', 'ERROR', 'SHUTDOWN', 'GONE']),
  addresses: z.array(z.object({ address: z.string(), port: z.int(), type: z.enum(['private', 'public']) })).optional(),
  fault: Words.optional(),
  /** The id of the last change that was carried out, as its requester chose it. */
  changeId: z.string().optional(),
})
export type MachineState = z.infer<typeof MachineState>

/** What a host has. `engines`: the names of versions by datastore manager. */
const HostReport = z.object({
  ram_mb: z.int().min(1),
  engines: z.record(z.string(), z.array(z.string())),
  /** The first two bytes of the addresses of its instances. */
  network: z.string(),
  version: z.string(),
  /** Milliseconds within which the next report follows. */
  lease_ms: z.int().min(1_000).max(900_000),
})
export type HostReport = z.infer<typeof HostReport>

const MachineStateReport = z.object({
  name: z.string(),
  project: z.string(),
  instance: z.string(),
  state: MachineState,
})

/**
 * Sealed reports of agents and host daemons to the conductor. They are the only messages that the control plane accepts
 * from machines.
 */
export const conductor = contract('conductor', {
  /**
   * The agent is alive. Reports its server's status, the number of its last command and the bytes used on its volume.
   */
  heartbeat: cast(
    z.object({
      service_status: ServiceStatus,
      last: z.int().min(0),
      used_bytes: z.number().min(0).max(MAX_COUNT).optional(),
      version: Words,
      message: Words.optional(),
      /** Milliseconds within which the next heartbeat follows. Default: a minute. */
      lease: z.number().min(1_000).max(900_000).optional(),
    }),
  ),
  /** A command succeeded. */
  notify_end: cast(z.object({ number: z.int().min(1), result: z.unknown() })),
  /** A command failed and will not be retried. */
  notify_exc_info: cast(z.object({ number: z.int().min(1), code: RefusalCode, message: Words })),
  /** The state of a server changed. Sent by hosts. */
  update_server: cast(MachineStateReport),
  /** The state of a volume changed. Sent by hosts. */
  update_volume: cast(MachineStateReport),
  /** The host is alive, and has this. Sent by hosts. */
  update_host: cast(HostReport),
})
export type ConductorMethods = (typeof conductor)['methods']

/** The decrypted payload of a report. `sequence` increases with every report of one machine. */
export const Report = z.object({ method: z.string(), input: z.unknown(), sequence: z.number().min(0).max(MAX_COUNT) })
export type Report = z.infer<typeof Report>

/** The topic of the conductor. */
export const CONDUCTOR_TOPIC = 'conductor'
/** The topic of an agent: each generation of its instance has its own. */
export const guestTopic = (instance: string, generation: number) => `guest-${instance}-${generation}`
/** The topic of a host daemon. */
export const hostTopic = (host: string) => `host-${host}`
/** The subject of an agent's sealed messages. */
export const guestSubject = (instance: string) => `guest:${instance}`
/** The subject of a host daemon's sealed messages. */
export const hostSubject = (host: string) => `host:${host}`
