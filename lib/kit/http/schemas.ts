import { z } from 'zod'

/** What answers are made of. All are strict: a key that is not named here is not answered. */

/** A time in UTC, as Trove writes it: without fraction or zone. */
export const Timestamp = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
  .meta({ id: 'Timestamp', description: 'A time in UTC, without a zone.', examples: ['2026-01-31T12:00:00'] })

export const Link = z
  .strictObject({ href: z.string(), rel: z.enum(['self', 'bookmark', 'next']) })
  .meta({ id: 'Link', description: 'Where else to look.' })
export const Links = z.array(Link)

/** The id of an instance, an operation … */
export const Id = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)

/** A list below `key`; with the link to the next page where there is one. */
export const pageOfRows = <K extends string, T extends z.ZodType>(key: K, row: T) =>
  z.strictObject({ [key]: z.array(row), links: Links.optional(), [`${key}_links`]: Links.optional() })

/** The parameters of a list that comes in pages. */
export const PageQuery = z.object({
  limit: z.int().min(1).optional().describe('The most rows of the page; more than 20 are not given.'),
  marker: z.string().optional().describe('The page begins after this id, as the link to the next page has it.'),
})

/** A query's truth, read leniently. */
export const FlagQuery = z.enum(['true', 'false'])
