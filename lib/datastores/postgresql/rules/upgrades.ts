const versionParts = (version: string) => version.split('.').map(Number)

/**
 * Why data of one version cannot be served by another, or undefined. A minor version reads the files of earlier ones; a
 * major one does not, and no version promises to read a later one's.
 */
export function upgradeProblem(from: string, to: string): string | undefined {
  const [[oldMajor = 0, oldMinor = 0], [major = 0, minor = 0]] = [versionParts(from), versionParts(to)]
  if (major !== oldMajor) return `PostgreSQL ${from} cannot be upgraded to ${to}: only within a major version.`
  if (minor < oldMinor) return `PostgreSQL ${from} cannot be downgraded to ${to}.`
  return undefined
}
