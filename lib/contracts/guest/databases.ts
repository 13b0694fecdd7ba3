import { z } from 'zod'

/** A database to create. */
export const DatabaseSpec = z.object({
  name: z.string(),
  character_set: z.string().optional(),
  collate: z.string().optional(),
})
export type DatabaseSpec = z.infer<typeof DatabaseSpec>

/** A database as listed. */
export const DatabaseName = z.object({ name: z.string() })
