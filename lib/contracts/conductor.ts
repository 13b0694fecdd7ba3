import { z } from 'zod'
import { cast, contract } from '../kit/contract.ts'

/** Trove's words for what a database server is doing. */
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

/** What a host tells of a server or a volume. */
export const MachineFacts = z.object({
  status: z.enum(['BUILD', 'ACTIVE', 'ERROR', 'SHUTDOWN', 'GONE']),
  addresses: z.array(z.object({ address: z.string(), port: z.int(), type: z.enum(['private', 'public']) })).optional(),
  fault: z.string().optional(),
  /** The last change that was carried out, by the name its asker gave it. */
  wish: z.string().optional(),
})
export type MachineFacts = z.infer<typeof MachineFacts>

const OfMachine = z.object({ name: z.string(), project: z.string(), instance: z.string(), facts: MachineFacts })

/** To the conductor: what agents and host daemons report, sealed. The control plane's only way in. */
export const conductor = contract('conductor', {
  /** The agent lives; its server's state; the last command it did; bytes used on its volume. */
  heartbeat: cast(
    z.object({
      service_status: ServiceStatus,
      last: z.int().min(0),
      used: z.number().optional(),
      version: z.string(),
      message: z.string().optional(),
      /** How soon it will be heard again, in milliseconds; left out: within a minute. */
      lease: z.number().min(1_000).max(900_000).optional(),
    }),
  ),
  /** A command was done. */
  notify_end: cast(z.object({ number: z.int().min(1), result: z.unknown() })),
  /** A command failed for good. */
  notify_exc_info: cast(z.object({ number: z.int().min(1), code: z.int(), message: z.string() })),
  /** From a host. */
  update_server: cast(OfMachine),
  update_volume: cast(OfMachine),
})
export type ConductorMethods = (typeof conductor)['methods']

/** What a report to the conductor holds once opened; `sent` rises with every report of one machine. */
export const Report = z.object({ method: z.string(), input: z.unknown(), sent: z.number() })
export type Report = z.infer<typeof Report>

/** Topics that every way to run has. */
export const CONDUCTOR_TOPIC = 'conductor'
export const guestTopic = (instance: string, generation: number) => `guest-${instance}-${generation}`
export const hostTopic = (host: string) => `host-${host}`
export const guestSubject = (instance: string) => `guest:${instance}`
export const hostSubject = (host: string) => `host:${host}`
