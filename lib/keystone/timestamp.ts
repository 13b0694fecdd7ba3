import { parseInstant, toDate } from '../kit/time.ts'

/** Keystone's format, with microseconds: `2026-01-01T00:00:00.000000Z`. */
export const keystoneTimestamp = (ms: number): string => toDate(ms).toISOString().replace('Z', '000Z')

/** ISO 8601 with date, time and an optional zone (UTC if none) as milliseconds since the epoch; undefined for other text. */
export function parseTimestamp(text: string): number | undefined {
  const shape = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?$/.exec(text)
  if (!shape) return undefined
  const ms = parseInstant(shape[3] ? text : `${text}Z`)
  return Number.isNaN(ms) ? undefined : ms
}
