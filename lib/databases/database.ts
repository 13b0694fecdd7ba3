import { z } from 'zod'

/** A database to be made. */
export const DatabaseSpec = z.object({
  name: z.string(),
  character_set: z.string().optional(),
  collate: z.string().optional(),
})
export type DatabaseSpec = z.infer<typeof DatabaseSpec>

export const DatabaseName = z.object({ name: z.string() })
