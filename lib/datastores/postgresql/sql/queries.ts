import type { PageRequest } from '../../driver.ts'
import { postgresqlManifest } from '../manifest.ts'
import { ANY_HOST, hostProblem } from '../rules/host-patterns.ts'
import type { PostgresqlSessions } from './sessions.ts'

/** A user in the server's catalogue. */
export interface UserRow {
  oid: number
  name: string
  host: string
  /** The name it was last renamed from. */
  was?: string | undefined
  databases: string[]
}

/** A database in the server's catalogue. */
export interface DatabaseRow {
  name: string
  /** The agent's limited role owns it, or is a member of its owner; else the tenant's root user created it. */
  ours: boolean
  /** Nothing was granted or revoked yet, so PUBLIC may connect. */
  bare: boolean
}

interface RawUser {
  oid: number
  name: string
  note: string | null
  databases: string[]
}

const { databases: databaseRules, users: userRules } = postgresqlManifest.can
const reservedDatabases = databaseRules.reserved
const reservedUsers = [userRules.reserved, userRules.reservedPrefixes]

// $1 holds the reserved names. Superusers are not listed: no user verb may touch them.
const USERS = `r.rolcanlogin AND NOT r.rolsuper AND r.rolname::text <> ALL ($1::text[])
  AND NOT EXISTS (SELECT FROM unnest($2::text[]) prefix WHERE starts_with(r.rolname::text, prefix))`
const DATABASES = 'NOT d.datistemplate AND d.datname::text <> ALL ($1::text[])'

const USER_PAGE = `
  WITH people AS (
    SELECT r.oid, r.rolname::text COLLATE "C" AS name, shobj_description(r.oid, 'pg_authid') AS note
    FROM pg_roles r WHERE ${USERS}
      AND ($3::text IS NULL OR r.rolname::text COLLATE "C" > $3 OR $4 AND r.rolname::text = $3)
    ORDER BY 2 LIMIT $5),
  granted AS (
    SELECT a.grantee, array_agg(d.datname::text ORDER BY d.datname::text COLLATE "C") AS databases
    FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
    WHERE NOT d.datistemplate AND d.datname::text <> ALL ($6::text[])
      AND a.privilege_type = 'CONNECT' AND a.grantee IN (SELECT oid FROM people)
    GROUP BY 1)
  SELECT p.oid, p.name, p.note, coalesce(g.databases, '{}') AS databases
  FROM people p LEFT JOIN granted g ON g.grantee = p.oid ORDER BY p.name`

/** A user's host as the role's comment: it follows a rename, goes with the role, and the user cannot change it. */
export function encodeComment(host: string, was?: string): string {
  return JSON.stringify({ host, was })
}

/** The host and former name in a role's comment. A comment that is not ours counts as none. */
function decodeComment(name: string, note: string | null): { host: string; was?: string | undefined } {
  try {
    const { host, was }: Record<string, unknown> = JSON.parse(note ?? '{}') ?? {}
    const isValid = typeof host === 'string' && hostProblem(name, host) === undefined
    return { host: isValid ? host : ANY_HOST, was: typeof was === 'string' ? was : undefined }
  } catch {
    return { host: ANY_HOST }
  }
}

const toUser = ({ note, ...row }: RawUser): UserRow => ({ ...row, ...decodeComment(row.name, note) })

/** Users in the byte order of their names. */
export async function listUsers(sessions: PostgresqlSessions, page: PageRequest): Promise<UserRow[]> {
  const { limit, marker = null, include_marker = false } = page
  const values = [...reservedUsers, marker, include_marker, limit, reservedDatabases]
  return (await sessions.query<RawUser>(USER_PAGE, values)).map(toUser)
}

/** The user of that name, if there is one that user verbs may touch. */
export async function findUser(sessions: PostgresqlSessions, name: string): Promise<UserRow | undefined> {
  if (userRules.nameProblem(name)) return undefined
  const [row] = await listUsers(sessions, { limit: 1, marker: name, include_marker: true })
  return row?.name === name ? row : undefined
}

/** Every user that may come from one network only. */
export async function listPinnedUsers(sessions: PostgresqlSessions): Promise<{ name: string; host: string }[]> {
  const text = `SELECT r.rolname::text AS name, c.description AS note FROM pg_shdescription c JOIN pg_roles r
    ON r.oid = c.objoid AND c.classoid = 'pg_authid'::regclass WHERE ${USERS}`
  const rows = await sessions.query<{ name: string; note: string }>(text, reservedUsers)
  return rows
    .map(({ name, note }) => ({ name, host: decodeComment(name, note).host }))
    .filter(({ host }) => host !== ANY_HOST)
}

/** Those of these names that a role has, listed or not. */
export async function existingRoles(sessions: PostgresqlSessions, names: string[]): Promise<Set<string>> {
  const text = 'SELECT rolname::text AS name FROM pg_roles WHERE rolname::text = ANY ($1::text[])'
  return new Set((await sessions.query<{ name: string }>(text, [names])).map(({ name }) => name))
}

const DATABASE_COLUMNS = `d.datname::text COLLATE "C" AS name, pg_get_userbyid(d.datdba) IN ('os_admin', 'os_owner') AS ours,
  d.datacl IS NULL AS bare`

/** Databases in the byte order of their names. */
export function listDatabases(sessions: PostgresqlSessions, page: PageRequest): Promise<DatabaseRow[]> {
  const { limit, marker = null, include_marker = false } = page
  const text = `SELECT ${DATABASE_COLUMNS} FROM pg_database d WHERE ${DATABASES}
    AND ($2::text IS NULL OR d.datname::text COLLATE "C" > $2 OR $3 AND d.datname::text = $2) ORDER BY 1 LIMIT $4`
  return sessions.query<DatabaseRow>(text, [reservedDatabases, marker, include_marker, limit])
}

/** The existing databases of these names, by name. */
export async function findDatabases(sessions: PostgresqlSessions, names: string[]): Promise<Map<string, DatabaseRow>> {
  if (names.length === 0) return new Map()
  const text = `SELECT ${DATABASE_COLUMNS} FROM pg_database d WHERE ${DATABASES} AND d.datname::text = ANY ($2::text[])`
  const rows = await sessions.query<DatabaseRow>(text, [reservedDatabases, names])
  return new Map(rows.map(row => [row.name, row]))
}

/** The databases in which a role owns something or was granted something. */
export async function databasesGrantedTo(sessions: PostgresqlSessions, role: number): Promise<string[]> {
  const text = `SELECT DISTINCT d.datname::text AS name FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
    WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 AND d.datallowconn`
  return (await sessions.query<{ name: string }>(text, [role])).map(({ name }) => name)
}
