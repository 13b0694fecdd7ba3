import { z } from 'zod'

/** Parts of response schemas. All are strict: a response has no key that its schema does not name. */

/** A time in UTC, as Trove writes it: without fraction or zone. */
export const Timestamp = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
  .meta({ id: 'Timestamp', description: 'A time in UTC, without a zone.', examples: ['2026-01-31T12:00:00'] })

/** A link to a resource or to the next page of a list. */
const Link = z
  .strictObject({ href: z.string(), rel: z.enum(['self', 'bookmark', 'next']) })
  .meta({ id: 'Link', description: 'A link to this resource, or to the next page.' })
/** The links of a resource or a list. */
export const Links = z.array(Link)

/** The id of an instance, an operation and so on. */
export const Id = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)

/** A list under `key`, with links to the next page if there is one. */
export const pageOfRows = <K extends string, T extends z.ZodType>(key: K, row: T) =>
  z.strictObject({ [key]: z.array(row), links: Links.optional(), [`${key}_links`]: Links.optional() })

/** The query parameters of a paged list. */
export const PageQuery = z.object({
  limit: z.int().min(1).optional().describe('The most rows of a page, at most 20.'),
  marker: z.string().optional().describe('The page begins after this id, as the link to the next page has it.'),
})

/** A boolean query parameter. */
export const FlagQuery = z.enum(['true', 'false'])

/** A UUID in a request. Hyphens may be left out, as in Trove. */
export const Uuid = z
  .string()
  .max(36, { error: 'is not a UUID', abort: true })
  .regex(/^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$/, 'is not a UUID')

/** A whole number of at least 1, or its digits: XML has strings only. */
export const PositiveInt = z
  .union([
    z.int().min(1, 'must be at least 1'),
    z
      .string()
      .max(9, { error: 'is not a number of at least 1', abort: true })
      .regex(/^[1-9][0-9]{0,8}$/, 'is not a number of at least 1'),
  ])
  .transform(Number)

/** A reference to something else, as a number or text. */
export const Reference = z.union([z.string().min(1), z.int()])
