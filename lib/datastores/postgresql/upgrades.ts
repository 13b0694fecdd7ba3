const parts = (version: string) => version.split('.').map(Number)

/** A minor version reads its predecessors' files as they are; a major one does not, and none is made to go back. */
export function badUpgrade(from: string, to: string): string | undefined {
  const [[oldMajor = 0, oldMinor = 0], [major = 0, minor = 0]] = [parts(from), parts(to)]
  if (major !== oldMajor) return `PostgreSQL ${from} cannot be upgraded to ${to}: only within a major version.`
  if (minor < oldMinor) return `PostgreSQL ${from} cannot be downgraded to ${to}.`
  return undefined
}
