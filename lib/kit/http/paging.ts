import { badRequest } from '../errors.ts'

/** The largest page, as in Trove. */
export const MAX_PAGE = 20

/** Longer than any key of ours, and short enough for a key of any store. */
const LONGEST_MARKER = 512

/** The page that a request asks for. Throws 400 for a limit that is no positive whole number, and for a marker that can be none. */
export function pageOf(query: Record<string, string>): { limit: number; marker?: string } {
  const { limit, marker } = query
  if (limit !== undefined && !/^[0-9]{1,9}$/.test(limit))
    throw badRequest(`limit must be a whole number, not '${limit.slice(0, 40)}'.`)
  if (limit !== undefined && Number(limit) < 1) throw badRequest('limit must be at least 1.')
  // No row has it, and not every engine takes it as a value.
  if (marker?.includes('\0')) throw badRequest('marker must not hold a NUL character.')
  if (marker && Buffer.byteLength(marker) > LONGEST_MARKER)
    throw badRequest(`marker is longer than ${LONGEST_MARKER} bytes.`)
  const size = Math.min(MAX_PAGE, limit === undefined ? MAX_PAGE : Number(limit))
  return { limit: size, ...(marker !== undefined && marker !== '' && { marker }) }
}

/**
 * `key` with the rows, and where more are to come the link to them: as `links` for Trove's clients and `<key>_links`
 * for gophercloud.
 */
export function paged(
  key: string,
  rows: unknown[],
  next: { url: string; query: Record<string, string>; limit: number; marker: string } | undefined,
): Record<string, unknown> {
  if (!next) return { [key]: rows }
  const kept = Object.entries(next.query).filter(([name]) => name !== 'limit' && name !== 'marker')
  const search = new URLSearchParams([...kept, ['limit', String(next.limit)], ['marker', next.marker]])
  const links = [{ rel: 'next', href: `${next.url}?${search}` }]
  return { [key]: rows, links, [`${key}_links`]: links }
}

/** A resource's two links. */
export function linksOf(base: string, project: string, resource: string): { href: string; rel: string }[] {
  return [
    { href: `${base}/v1.0/${project}/${resource}`, rel: 'self' },
    { href: `${base}/${resource}`, rel: 'bookmark' },
  ]
}
