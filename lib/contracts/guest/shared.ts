import { z } from 'zod'

/** A request for a page of a listing; `marker` is a name, after which (in byte order of UTF-8) the page begins. */
export const PageRequest = z.object({
  limit: z.int().min(1),
  marker: z.string().optional(),
  include_marker: z.boolean().optional(),
})

/** A page of a listing; `next` = the marker of the next page, if there is one. */
export const pageOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.string().optional() })

/** The result of a command that has none. */
export const NoResult = z.null()
