import type { Client } from 'pg'
import type { Log } from '../../../kit/clock.ts'
import { messageOf } from '../../../kit/errors.ts'
import type { RootMode } from '../../driver.ts'
import { useDraft } from '../cluster/passwords.ts'
import { postgresqlManifest } from '../manifest.ts'
import { identifier } from '../sql/quote.ts'
import {
  ADDED_FUNCTIONS,
  ADDED_OPERATORS,
  EVENT_TRIGGERS,
  OPAQUE_FUNCTIONS,
  REMAINS,
  sharedRemains,
} from '../sql/remains.ts'
import { isConnectionLost, type PostgresqlSessions } from '../sql/sessions.ts'
import { administratorStatements, adoptUsers, ROOT_IS_ENABLED } from './administrator.ts'
import { finishDrops } from './databases.ts'
import { handOverDatabases, type PasswordContext, renewPassword } from './roles.ts'

const ROOT = postgresqlManifest.can.root.user
/** Root's name in earlier versions. */
const EARLIER_ROOT = 'postgres'

/** Databases from which others are made come first. */
const DATABASES = `SELECT datname::text AS name, datallowconn AS open FROM pg_database
  WHERE datconnlimit >= -1 ORDER BY datistemplate DESC, 1`
const OTHER_SUPERUSERS = 'SELECT FROM pg_roles WHERE rolsuper AND oid >= 16384'
const OUR_LOGINS = ['os_maint', 'os_admin'] as const
const END_SUPERUSERS = `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
  WHERE r.rolsuper AND r.oid >= 16384`

interface FormerParts extends PasswordContext {
  sessions: PostgresqlSessions
  log: Log
  mode: RootMode
  major: number
}

/**
 * Makes root what the mode says, in a cluster that served before: with its present name and, where it is an
 * administrator, without anything left of a superuser; and finishes deletions of databases. Nothing happens in a cluster
 * that was never prepared.
 */
export async function secureRoot(parts: FormerParts): Promise<void> {
  const { sessions, mode } = parts
  const isAdministrator = mode === 'administrator'
  const former = await sessions.withClient('os_maint', 'postgres', async maint => {
    if (isAdministrator) await disarm(maint, parts)
    if (!(await hasRole(maint, 'os_admin'))) return undefined
    await finishDrops(maint)
    await handOverDatabases(maint)
    await renameEarlierRoot(maint)
    return isAdministrator ? demote(maint, parts) : undefined
  })
  if (!former) return
  await cleanAll(parts, former.hadSuperusers)
  await adoptUsers(sessions)
}

async function hasRole(maint: Client, name: string): Promise<boolean> {
  const { rows } = await maint.query<{ exists: boolean }>('SELECT to_regrole($1) IS NOT NULL AS exists', [name])
  return rows[0]?.exists ?? false
}

/** A user of the API may have the new name already: then the earlier role stays, and is demoted with the rest. */
async function renameEarlierRoot(maint: Client): Promise<void> {
  if (!(await hasRole(maint, EARLIER_ROOT)) || (await hasRole(maint, ROOT))) return
  await maint.query(`ALTER ROLE ${EARLIER_ROOT} RENAME TO ${ROOT}`)
}

/**
 * Demotes every superuser but ours, in one transaction; root, if it is enabled, becomes an administrator. Our roles get
 * new passwords then: a superuser could read the files.
 */
async function demote(maint: Client, parts: FormerParts): Promise<{ hadSuperusers: boolean }> {
  const { major, log, volume } = parts
  const hadSuperusers = (await maint.query(OTHER_SUPERUSERS)).rows.length > 0
  const renewed = hadSuperusers ? OUR_LOGINS : []
  const isEnabled = (await maint.query(ROOT_IS_ENABLED)).rows.length > 0
  const { rowCount } = await maint.query(END_SUPERUSERS)
  if (rowCount) log.warn({ sessions: rowCount }, 'ended the sessions of a former superuser')
  await maint.query('BEGIN')
  for (const query of sharedRemains(major)) {
    for (const statement of await statementsOf(maint, query)) await maint.query(statement)
  }
  if (isEnabled) for (const statement of administratorStatements(major)) await maint.query(statement)
  for (const role of renewed) await maint.query(await renewPassword(role, parts))
  await maint.query('COMMIT')
  for (const role of renewed) await useDraft(volume, role)
  return { hadSuperusers }
}

const statementsOf = async (client: Client, query: string) =>
  (await client.query<{ statement: string }>(query)).rows.map(({ statement }) => statement)

/** Cleans every database, those that are made meanwhile too. */
async function cleanAll(parts: FormerParts, hadSuperusers: boolean): Promise<void> {
  const cleaned = new Set(hadSuperusers ? [] : ['template0'])
  for (;;) {
    const databases = await parts.sessions.query<{ name: string; open: boolean }>(DATABASES)
    const next = databases.find(({ name }) => !cleaned.has(name))
    if (!next) return
    cleaned.add(next.name)
    if (next.open) await clean(next.name, parts)
    else await cleanClosed(next.name, parts)
  }
}

/** Its owner could open it later. */
async function cleanClosed(database: string, parts: FormerParts): Promise<void> {
  const allow = (value: boolean) =>
    parts.sessions.execute(
      'postgres',
      [`ALTER DATABASE ${identifier(database)} ALLOW_CONNECTIONS ${value}`],
      'os_maint',
    )
  await allow(true)
  try {
    await clean(database, parts)
  } finally {
    await allow(false)
  }
}

/** Removes what a superuser left in a database, and reports what cannot be judged. */
async function clean(database: string, parts: FormerParts): Promise<void> {
  const { sessions, log } = parts
  await sessions.withClient('os_maint', database, async client => {
    await disarm(client, parts)
    for (const query of REMAINS) {
      for (const statement of await statementsOf(client, query)) {
        await client.query(statement).catch((error: unknown) => {
          if (isConnectionLost(error)) throw error
          // The instance must start, whatever its tenant has built.
          log.error({ database, statement, error: messageOf(error) }, 'what a former superuser left was not removed')
        })
      }
    }
    const { rows } = await client.query<{ name: string; language: string }>(OPAQUE_FUNCTIONS)
    if (rows.length > 0) log.warn({ database, functions: rows.slice(0, 100) }, 'functions that may run any code')
  })
}

const C_LANGUAGE = 13

/** Takes away what would run in our own session in this database, before anything else is done in it. */
async function disarm(client: Client, { random, log }: FormerParts): Promise<void> {
  const triggers = await client.query<{ name: string }>(EVENT_TRIGGERS)
  for (const name of triggers.rows.map(row => identifier(row.name))) {
    // Ours, so that nobody enables it again.
    await client.query(`ALTER EVENT TRIGGER ${name} DISABLE; ALTER EVENT TRIGGER ${name} OWNER TO os_maint`)
  }
  const operators = await client.query<{ name: string }>(ADDED_OPERATORS)
  const functions = await client.query<{ name: string; language: number; library: string | null }>(ADDED_FUNCTIONS)
  // Languages have their handlers there.
  const added = functions.rows.filter(
    ({ language, library }) => language !== C_LANGUAGE || !library?.startsWith('$libdir/'),
  )
  const moved = [...operators.rows.map(({ name }) => `OPERATOR ${name}`), ...added.map(({ name }) => `ROUTINE ${name}`)]
  if (moved.length === 0) return
  // A name that nobody could prepare for.
  const schema = `former_catalog_${Buffer.from(random.bytes(8)).toString('hex')}`
  await client.query(`CREATE SCHEMA ${schema}`)
  for (const object of moved) await client.query(`ALTER ${object} SET SCHEMA ${schema}`)
  log.warn({ schema, objects: moved.slice(0, 100) }, 'moved what was added to the catalogue')
}
