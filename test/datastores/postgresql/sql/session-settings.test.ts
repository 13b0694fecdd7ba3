import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { Client } from 'pg'
import { sessionOptions } from '../../../../lib/datastores/postgresql/sql/session-settings.ts'
import { PostgresqlSessions } from '../../../../lib/datastores/postgresql/sql/sessions.ts'
import { messageOf } from '../../../../lib/kit/errors.ts'
import { type Cluster, newCluster } from '../cluster.ts'

jest.setTimeout(120_000)

/** What a superuser of the tenant imposes: each ends, misleads, watches or delays a session that has no values of its own. */
const HOSTILE: Record<string, string> = {
  search_path: 'evil, pg_catalog',
  role: 'ann',
  row_security: 'off',
  local_preload_libraries: 'evil',
  session_preload_libraries: 'evil',
  session_replication_role: 'local',
  event_triggers: 'on',
  statement_timeout: '1',
  lock_timeout: '1',
  transaction_timeout: '1',
  idle_session_timeout: '1',
  idle_in_transaction_session_timeout: '1',
  exit_on_error: 'on',
  temp_file_limit: '0',
  default_transaction_read_only: 'on',
  default_transaction_isolation: 'serializable',
  default_transaction_deferrable: 'on',
  synchronous_commit: 'off',
  createrole_self_grant: 'set, inherit',
  standard_conforming_strings: 'off',
  transform_null_equals: 'on',
  track_activities: 'on',
  log_statement: 'all',
  log_min_duration_statement: '0',
  log_min_error_statement: 'debug5',
  debug_print_parse: 'on',
  debug_print_rewritten: 'on',
  debug_print_plan: 'on',
  client_encoding: 'LATIN1',
}
const DATABASES = ['postgres', 'cart']
/** To whom a value can be imposed, from the widest to the narrowest. */
const SUBJECTS = [
  'ROLE ALL',
  ...DATABASES.map(name => `DATABASE ${name}`),
  ...['os_admin', 'os_maint'].flatMap(role => DATABASES.map(name => `ROLE ${role} IN DATABASE ${name}`)),
]

interface Setting {
  name: string
  vartype: string
  reset_val: string
  min_val: string | null
  max_val: string | null
  enumvals: string[] | null
}

describe.each(['15', '18'])("the settings of an agent's session in PostgreSQL %s", version => {
  const major = Number(version)
  let cluster: Cluster
  let root: Client
  beforeEach(async () => {
    cluster = await newCluster(version)
    cluster.context.root = 'superuser'
    const ann = { name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }
    await cluster.driver.prepare({ datastore_version: version, databases: [{ name: 'cart' }], users: [ann] })
    await cluster.driver.create_database({ databases: [{ name: 'elsewhere' }] })
    await cluster.driver.enable_root_with_password({ root_password: 'root-1' })
    // Ours until it ends, whatever is imposed on sessions to come.
    root = await cluster.connect('root', 'root-1', 'elsewhere')
  })
  afterEach(() => cluster.remove())

  /** Imposes the values that this version has, and returns their names. */
  async function impose(values: [string, string][]): Promise<string[]> {
    const imposed: string[] = []
    for (const [name, value] of values) {
      const list = ['search_path', 'createrole_self_grant'].includes(name) ? value : `'${value}'`
      const statements = SUBJECTS.map(subject => `ALTER ${subject} SET "${name}" = ${list}`).join('; ')
      const problem = await root.query(statements).then(() => undefined, messageOf)
      if (problem === undefined) imposed.push(name)
    }
    return imposed
  }

  /** Calls the verbs as a restarted agent does, with sessions that begin now. */
  async function expectVerbsToWork(): Promise<void> {
    const agent = cluster.restartAgent()
    const eve = { name: 'evé', password: 'pw2', databases: [{ name: 'cart' }] }
    await agent.create_database({ databases: [{ name: "o'lätér\\" }] })
    await agent.create_user({ users: [eve] })
    await agent.update_attributes({ name: 'evé', attributes: { name: 'evä', host: '127.0.0.1' } })
    await agent.grant_access({ name: 'evä', databases: ["o'lätér\\"] })
    const access = [{ name: 'cart' }, { name: "o'lätér\\" }]
    expect(await agent.list_access({ name: 'evä' })).toEqual(access)
    await agent.revoke_access({ name: 'evä', database: 'cart' })
    await agent.change_passwords({ users: [{ name: 'ann', password: 'pw3' }] })
    await agent.update_access({ allowed_cidrs: ['127.0.0.0/8'] })
    await agent.delete_user({ name: 'evä' })
    await agent.delete_database({ name: "o'lätér\\" })
    await agent.enable_root_with_password({ root_password: 'root-1' })
    expect(await agent.is_root_enabled({})).toBe(true)
    expect((await agent.list_users({ limit: 9 })).items.map(({ name }) => name)).toEqual(['ann'])
    const states = `SELECT DISTINCT state FROM pg_stat_activity
      WHERE usename IN ('os_admin', 'os_maint') AND backend_type = 'client backend'`
    expect((await root.query(states)).rows).toEqual([{ state: 'disabled' }])
  }

  it('are its own, whatever a superuser of the tenant imposes on its databases and roles', async () => {
    const imposed = await impose(Object.entries(HOSTILE))
    expect(imposed.length).toBeGreaterThanOrEqual(major < 17 ? 26 : 29)
    const sessions = new PostgresqlSessions(cluster.context)
    for (const role of ['os_admin', 'os_maint'] as const) {
      const names = [...sessionOptions(role, major).matchAll(/-c (\w+)=/g)].map(([, name]) => name)
      expect([...names, 'client_encoding']).toEqual(
        expect.arrayContaining(imposed.filter(name => name !== 'event_triggers')),
      )
      for (const database of DATABASES) {
        const text =
          "SELECT name, setting FROM pg_settings WHERE name = ANY ($1) AND source NOT IN ('client', 'override')"
        const rest = await sessions.withClient(role, database, client => client.query(text, [names]))
        expect(rest.rows).toEqual([])
        const user = await sessions.withClient(role, database, client => client.query('SELECT current_user AS name'))
        expect(user.rows).toEqual([{ name: role }])
      }
    }
    await expectVerbsToWork()
    await cluster.driver.disable_root({})
    expect((await cluster.restartAgent().list_users({ limit: 9 })).items).toHaveLength(1)
  })

  it.each(['lowest', 'highest'] as const)('need no more lines for the %s values of all others', async end => {
    const text = `SELECT name, vartype, reset_val, min_val, max_val, enumvals FROM pg_settings
      WHERE context IN ('user', 'superuser') AND vartype <> 'string'`
    const { rows } = await root.query<Setting>(text)
    const hostile = rows.map(({ name, vartype, reset_val, min_val, max_val, enumvals }): [string, string] => {
      if (vartype === 'bool') return [name, reset_val === 'on' ? 'off' : 'on']
      if (enumvals) return [name, String(enumvals.filter(value => value !== reset_val).at(end === 'lowest' ? 0 : -1))]
      return [name, String(end === 'lowest' ? min_val : max_val)]
    })
    expect((await impose(hostile)).length).toBeGreaterThan(120)
    await expectVerbsToWork()
  })

  it('are granted to the limited role again where an earlier version, or the tenant, has not granted them', async () => {
    await root.query('REVOKE SET ON PARAMETER track_activities, session_preload_libraries FROM os_admin')
    await root.query("ALTER ROLE ALL SET session_preload_libraries = 'evil'")
    await expectVerbsToWork()
  })
})
