// The globals are banned because they tell the time; here they only write and read a given instant.

/** `2026-01-01T00:00:00.000000Z`, of milliseconds since the epoch. */
export function timestamp(ms: number): string {
  // biome-ignore lint/style/noRestrictedGlobals: writes a given instant
  return new Date(ms).toISOString().replace('Z', '000Z')
}

/** ISO 8601 with a date, a time and perhaps a zone (UTC if none): milliseconds since the epoch. Undefined for anything else. */
export function instant(text: string): number | undefined {
  const shape = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?$/.exec(text)
  if (!shape) return undefined
  // biome-ignore lint/style/noRestrictedGlobals: reads a given instant
  const ms = Date.parse(shape[3] ? text : `${text}Z`)
  return Number.isNaN(ms) ? undefined : ms
}
