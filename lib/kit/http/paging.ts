import { badRequest } from '../errors.ts'

/** The most rows of a page, as in Trove. */
const MAX_PAGE = 20

/** Longer than any of our keys, and short enough for a key of any store. */
const MAX_MARKER_BYTES = 512

/** The requested page. Throws Fault 400 for a limit that is not a positive integer, and for an impossible marker. */
export function parsePageQuery(query: Record<string, string>): { limit: number; marker?: string } {
  const { limit, marker } = query
  if (limit !== undefined && !/^[0-9]{1,9}$/.test(limit))
    throw badRequest(`limit must be a whole number, not '${limit.slice(0, 40)}'.`)
  if (limit !== undefined && Number(limit) < 1) throw badRequest('limit must be at least 1.')
  // No row has such a marker, and not every database accepts it as a value.
  if (marker?.includes('\0')) throw badRequest('marker must not hold a NUL character.')
  if (marker && Buffer.byteLength(marker) > MAX_MARKER_BYTES)
    throw badRequest(`marker is longer than ${MAX_MARKER_BYTES} bytes.`)
  const size = Math.min(MAX_PAGE, limit === undefined ? MAX_PAGE : Number(limit))
  return { limit: size, ...(marker !== undefined && marker !== '' && { marker }) }
}

/**
 * The body of a page: the rows under `key`, and a link to the next page if there is one. The link is there twice: as
 * `links` for Trove's clients and as `<key>_links` for gophercloud.
 */
export function pageBody(
  key: string,
  rows: unknown[],
  next: { url: string; query: Record<string, string>; limit: number; marker: string } | undefined,
): Record<string, unknown> {
  if (!next) return { [key]: rows }
  const otherParameters = Object.entries(next.query).filter(([name]) => name !== 'limit' && name !== 'marker')
  const search = new URLSearchParams([...otherParameters, ['limit', String(next.limit)], ['marker', next.marker]])
  const links = [{ rel: 'next', href: `${next.url}?${search}` }]
  return { [key]: rows, links, [`${key}_links`]: links }
}

/** The two links of a resource: `self` and `bookmark`. */
export function selfLinks(baseUrl: string, project: string, resource: string): { href: string; rel: string }[] {
  return [
    { href: `${baseUrl}/v1.0/${project}/${resource}`, rel: 'self' },
    { href: `${baseUrl}/${resource}`, rel: 'bookmark' },
  ]
}
