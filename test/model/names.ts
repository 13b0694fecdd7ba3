/** Names that PostgreSQL accepts for databases and users, however odd. */
export const VALID_NAMES = [
  '-rf',
  'a"b',
  "a'; DROP",
  'line\nbreak',
  '🐘',
  'a/b',
  '50%',
  'x.json',
  '..',
  ' ',
  'ü'.repeat(31),
]
/** Names that PostgreSQL does not accept, or that are reserved. */
export const INVALID_NAMES = ['', 'a\0b', '\ud800', 'x'.repeat(64), 'ü'.repeat(32), 'postgres', 'os_admin']
