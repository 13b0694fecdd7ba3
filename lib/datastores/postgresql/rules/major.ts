/** The newest major version that this driver knows; the oldest is 15. */
export const NEWEST_MAJOR = 18

/** The major version in PostgreSQL's own texts: `18.4`, `initdb (PostgreSQL) 15.18`. Throws if there is none. */
export function majorOf(version: string): number {
  const last =
    version
      .trim()
      .split(/[^\d.]/)
      .at(-1) ?? ''
  const major = /^(\d+)(?:\.\d+)*$/.exec(last)?.[1]
  if (major === undefined) throw new Error(`${JSON.stringify(version)} is no version of PostgreSQL`)
  return Number(major)
}
