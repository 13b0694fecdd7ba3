import { z } from 'zod'
import { RootMode } from '../lib/contracts/guest/root.ts'

/**
 * What an agent is started with, made of the user-data and of what its machine adds: `<folder>.config.json`, beside its
 * folder, as its `AgentSite`, which is `<folder>.site.json`. Machines of earlier versions have `config.json` in it.
 */
export const AgentConfig = z.object({
  userData: z.object({ instance: z.string(), generation: z.int(), secret: z.string(), enrolUrl: z.string() }),
  /** A file with the current address for enrolment, where it may change. */
  endpointFile: z.string().optional(),
  datastore: z.object({ manager: z.string(), version: z.string() }),
  logLevel: z.string(),
})
export type AgentConfig = z.infer<typeof AgentConfig>

/** Where the agent's database lives on its machine, and what it may use there. */
export const AgentSite = z.object({
  volume: z.string(),
  engine: z.string(),
  address: z.string(),
  port: z.int(),
  flavor: z.object({ ramMb: z.number(), vcpus: z.number() }),
  root: RootMode.default('administrator'),
  /** The volume's size, where it has no file system of its own that limits it. */
  sizeGb: z.number().optional(),
})
export type AgentSite = z.infer<typeof AgentSite>
