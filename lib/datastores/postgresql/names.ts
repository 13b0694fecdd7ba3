/** What PostgreSQL keeps of a name; it would cut a longer one in silence. */
const LIMIT = 63

/** Why PostgreSQL cannot keep this name exactly as given, or undefined if it can. */
export function badName(name: string): string | undefined {
  if (name === '') return 'A name must not be empty.'
  if (name.includes('\0')) return 'A name must not contain a NUL character.'
  if (!name.isWellFormed()) return 'A name must be valid Unicode: half of a surrogate pair stands alone.'
  const bytes = Buffer.byteLength(name)
  if (bytes > LIMIT) return `A name has at most ${LIMIT} bytes in UTF-8; this one has ${bytes}.`
  return undefined
}

/** As badName, and the two words that SQL keeps for itself even in quotes. */
export function badRoleName(name: string): string | undefined {
  if (name === 'public' || name === 'none') return `"${name}" has a meaning of its own in GRANT and cannot be a user.`
  return badName(name)
}
