import type { Client } from 'pg'
import type { Random } from '../../../kit/clock.ts'
import { type Owner, replaceFile } from '../../../kit/os/files.ts'
import { clusterPaths, readMajor } from '../cluster/cluster.ts'
import { readText } from '../cluster/files.ts'
import { writeDraft } from '../cluster/passwords.ts'
import { identifier, literal } from '../sql/quote.ts'
import { SALT_BYTES, scramVerifier } from '../sql/scram.ts'
import { grantSettings, type Role } from '../sql/session-settings.ts'
import type { PostgresqlSessions } from '../sql/sessions.ts'

/** The role that owns what dropped users leave behind. It can neither log in nor do anything. */
export const FORMER_OWNER_ROLE = 'os_former'

/** The role that owns the databases of the API. It cannot log in. Root may be its member: it has no other rights. */
export const DATABASE_OWNER_ROLE = 'os_owner'

const PASSWORD_BYTES = 24
// A random password of 192 bits needs no stretching; one round makes each connection some milliseconds faster.
const ITERATIONS = 1

/** What a password is drawn from, and where it is stored. */
export interface PasswordContext {
  volume: string
  random: Random
  owner: Owner | undefined
}

interface RolesContext extends PasswordContext {
  sessions: PostgresqlSessions
}

/** Creates the limited role for daily work, and closes the agent's own databases to everybody else. */
export async function createServiceRoles({ sessions, volume, random, owner }: RolesContext): Promise<void> {
  const password = await readOrCreatePassword(volume, random, owner)
  const verifier = await serviceVerifier(password, random)
  // Before 16 there are no such reserved connections; the sessions use a superuser's instead.
  const major = await readMajor(volume)
  const reservedConnections = major < 16 ? '' : ', pg_use_reserved_connections'
  await sessions.withClient('os_maint', 'postgres', async client => {
    const { rows } = await client.query<{ exists: boolean }>("SELECT to_regrole('os_admin') IS NOT NULL AS exists")
    const exists = rows[0]?.exists ?? false
    await client.query(`
      ${exists ? '' : `CREATE ROLE ${FORMER_OWNER_ROLE};`}
      ${exists ? 'ALTER' : 'CREATE'} ROLE os_admin LOGIN CREATEDB CREATEROLE NOSUPERUSER
        PASSWORD ${literal(verifier)};
      GRANT pg_signal_backend${reservedConnections} TO os_admin;
      ${grantSettings(major)};
      REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
      GRANT CONNECT ON DATABASE postgres TO os_admin`)
    await handOverDatabases(client)
  })
}

const EARLIER_DATABASES = `SELECT datname::text AS name FROM pg_database
  WHERE datdba = 'os_admin'::regrole AND NOT datistemplate`

/** Gives the databases of earlier versions, which os_admin owns, to a role of which root may be a member. */
export async function handOverDatabases(maint: Client): Promise<void> {
  const { rows } = await maint.query<{ missing: boolean }>(
    `SELECT to_regrole('${DATABASE_OWNER_ROLE}') IS NULL AS missing`,
  )
  const create = rows[0]?.missing ? `CREATE ROLE ${DATABASE_OWNER_ROLE}; ` : ''
  await maint.query(`${create}GRANT ${DATABASE_OWNER_ROLE} TO os_admin`)
  const databases = await maint.query<{ name: string }>(EARLIER_DATABASES)
  for (const { name } of databases.rows) {
    await maint.query(`ALTER DATABASE ${identifier(name)} OWNER TO ${DATABASE_OWNER_ROLE}`)
  }
}

/** Draws a new password for a role of ours: the statement that gives it to the role, whose draft is stored already. */
export async function renewPassword(role: Role, { volume, random, owner }: PasswordContext): Promise<string> {
  const password = drawPassword(random)
  await writeDraft(volume, role, password, owner)
  return `ALTER ROLE ${role} PASSWORD ${literal(await serviceVerifier(password, random))}`
}

const drawPassword = (random: Random) => Buffer.from(random.bytes(PASSWORD_BYTES)).toString('base64url')

const serviceVerifier = (password: string, random: Random) =>
  scramVerifier(password, random.bytes(SALT_BYTES), ITERATIONS)

async function readOrCreatePassword(volume: string, random: Random, owner: Owner | undefined): Promise<string> {
  const file = clusterPaths(volume).password('os_admin')
  const stored = await readText(file)
  if (stored) return stored
  const password = drawPassword(random)
  // Stored before the server gets it: after a crash in between, the same password is used again.
  await replaceFile(file, password, { owner })
  return password
}
