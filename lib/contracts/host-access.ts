import { z } from 'zod'
import { QueueAccess } from './queue-access.ts'

/** What a host daemon is given at its start: who it is, where it receives and reports, and its keys. */
export const HostAccess = z.object({
  hostId: z.string(),
  topic: z.string(),
  conductor: z.string(),
  queue: QueueAccess,
  kid: z.string(),
  keys: z.object({ down: z.string(), up: z.string() }),
})
export type HostAccess = z.infer<typeof HostAccess>
