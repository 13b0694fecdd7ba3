/** The newest major version that this driver knows; the oldest is 15. */
export const NEWEST = 18

/** The major version in what PostgreSQL says of itself: `18.4`, `initdb (PostgreSQL) 15.18`. */
export function majorOf(version: string): number {
  const major = /(\d+)(\.\d+)*\s*$/.exec(version)?.[1]
  if (major === undefined) throw new Error(`${JSON.stringify(version)} is no version of PostgreSQL`)
  return Number(major)
}
