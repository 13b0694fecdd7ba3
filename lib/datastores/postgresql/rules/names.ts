/** Bytes. PostgreSQL silently truncates a longer name. */
const LIMIT = 63

/** Why PostgreSQL cannot keep this name exactly as given, or undefined if it can. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'A name must not be empty.'
  if (name.includes('\0')) return 'A name must not contain a NUL character.'
  if (!name.isWellFormed()) return 'A name must be valid Unicode: half of a surrogate pair stands alone.'
  const bytes = Buffer.byteLength(name)
  if (bytes > LIMIT) return `A name has at most ${LIMIT} bytes in UTF-8; this one has ${bytes}.`
  return undefined
}

/** As nameProblem, and the two words that SQL reserves even in quotes. */
export function roleNameProblem(name: string): string | undefined {
  if (name === 'public' || name === 'none') return `"${name}" has a meaning of its own in GRANT and cannot be a user.`
  return nameProblem(name)
}
