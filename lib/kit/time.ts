/** `YYYY-MM-DDTHH:MM:SS` in UTC, without fraction or zone, as Trove writes times. */
export function timestamp(ms: number): string {
  return iso(ms).slice(0, 19)
}

/** `YYYY-MM-DDTHH:MM:SSZ`. */
export function timestampZ(ms: number): string {
  return `${timestamp(ms)}Z`
}

function iso(ms: number): string {
  return toDate(ms).toISOString()
}

/** The instant as a Date, for libraries that take one. */
// biome-ignore lint/style/noRestrictedGlobals: a Date of a given instant reads no clock
export const toDate = (ms: number) => new Date(ms)

/** Milliseconds since the epoch of an instant in ISO 8601; NaN for what is none. */
// biome-ignore lint/style/noRestrictedGlobals: parsing reads no clock
export const parseInstant = (text: string): number => Date.parse(text)
