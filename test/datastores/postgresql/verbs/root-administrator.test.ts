import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import type { Client } from 'pg'
import {
  ADMINISTRATOR_SETTINGS,
  administratorExtensions,
  TRUSTED_EXTENSIONS,
} from '../../../../lib/datastores/postgresql/rules/administrator.ts'
import { type Cluster, newCluster } from '../cluster.ts'

jest.setTimeout(120_000)

const OURS = ['os_maint', 'os_admin', 'os_former', 'os_owner']
const DANGEROUS = ['pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_signal_backend']
const user = (name: string) => ({ name, password: `pw-${name}`, databases: [{ name: 'app' }] })
const REFUSED =
  /permission denied|superuser|must have admin option|only roles with|must have CREATEROLE|must be owner|must be (able|member)|not allowed/i

describe.each(['15', '16', '17', '18'])('root as an administrator on PostgreSQL %s', version => {
  const major = Number(version)
  let cluster: Cluster
  let maint: Client
  const login = (database = 'app') => cluster.connect('root', 'root1', database)
  const rows = async (client: Client, text: string) => (await client.query(text)).rows
  /** What the server says to a statement. */
  const outcome = (client: Client, text: string): Promise<string> =>
    client.query(text).then(
      () => 'done',
      (error: Error) => error.message,
    )

  beforeAll(async () => {
    cluster = await newCluster(version, true)
    const { driver } = cluster
    await driver.prepare({ datastore_version: version, databases: [{ name: 'app' }], users: [user('ann')] })
    await driver.enable_root_with_password({ root_password: 'root1' })
    await driver.create_user({ users: [user('bob')] })
    maint = await cluster.superuser('app')
  })
  afterAll(() => cluster?.remove())

  it('is enabled, is no superuser, and is not listed', async () => {
    expect(await cluster.driver.is_root_enabled({})).toBe(true)
    const root = await login('postgres')
    expect(await rows(root, 'SHOW is_superuser')).toEqual([{ is_superuser: 'off' }])
    const { items } = await cluster.driver.list_users({ limit: 9 })
    expect(items.map(({ name }) => name)).toEqual(['ann', 'bob'])
  })

  it('makes and drops databases, and owns those of the API', async () => {
    const root = await login('postgres')
    for (const text of ['CREATE DATABASE hers', 'DROP DATABASE hers']) await root.query(text)
    await cluster.driver.create_database({ databases: [{ name: 'more' }] })
    const session = await login('more')
    for (const text of ['CREATE SCHEMA s', 'DROP SCHEMA public', 'GRANT CONNECT ON DATABASE more TO ann']) {
      await session.query(text)
    }
    await session.end()
    await root.query("ALTER DATABASE more SET work_mem = '5MB'")
    await root.query('DROP DATABASE more')
  })

  it('is a member of users of before and after, reads their tables, and ends their sessions', async () => {
    const root = await login()
    for (const name of ['ann', 'bob']) {
      const session = await cluster.connect(name, `pw-${name}`, 'app')
      await session.query(`CREATE TABLE of_${name} AS SELECT 1 AS n`)
      expect(await rows(root, `SELECT n FROM of_${name}`)).toEqual([{ n: 1 }])
      const ended = new Promise(resolve => session.once('end', resolve))
      const text = `SELECT pg_terminate_backend(pid) AS done FROM pg_stat_activity WHERE usename = '${name}'`
      expect(await rows(root, text)).toEqual([{ done: true }])
      await ended
    }
    await root.query('GRANT ann TO bob')
  })

  it('makes roles from 16 on, which are users of the API', async () => {
    const root = await login()
    if (major < 16) return expect(await outcome(root, 'CREATE ROLE carl')).toMatch(REFUSED)
    await root.query("CREATE ROLE carl LOGIN PASSWORD 'pw-carl'; GRANT ann TO carl; SET ROLE carl; RESET ROLE")
    await root.query("ALTER ROLE bob PASSWORD 'pw-bob'; ALTER ROLE ann SET work_mem = '5MB'")
    await cluster.driver.change_passwords({ users: [{ name: 'carl', password: 'pw-carl2' }] })
    await cluster.connect('carl', 'pw-carl2', 'app')
    await cluster.driver.delete_user({ name: 'carl' })
  })

  it('sees the statistics of all', async () => {
    const ann = await cluster.connect('ann', 'pw-ann', 'app')
    await ann.query('SELECT 4711')
    const activity = await rows(await login(), "SELECT query FROM pg_stat_activity WHERE usename = 'ann'")
    expect(activity).toContainEqual({ query: 'SELECT 4711' })
    await ann.end()
  })

  it('installs every extension of the list, and sets every setting of the other list', async () => {
    const root = await login()
    for (const name of administratorExtensions(major)) {
      expect([name, await outcome(root, `CREATE EXTENSION "${name}"`)]).toEqual([name, 'done'])
    }
    for (const name of ADMINISTRATOR_SETTINGS) {
      expect([name, await outcome(root, `SET ${name} = DEFAULT`)]).toEqual([name, 'done'])
    }
    await root.query("ALTER ROLE ann SET session_replication_role = 'origin'").catch(() => {
      if (major >= 16) throw new Error('refused')
    })
  })

  const path = () => `${cluster.context.volume}/os_maint.pw`
  const FORBIDDEN = () => [
    // Programs, files and libraries.
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "CREATE TEMP TABLE said (line text); COPY said FROM PROGRAM 'id'",
    `CREATE TEMP TABLE said (line text); COPY said FROM '${path()}'`,
    `SELECT pg_read_file('${path()}')`,
    `SELECT pg_read_binary_file('${path()}')`,
    "SELECT pg_ls_dir('.')",
    `SELECT pg_stat_file('${path()}')`,
    `SELECT lo_import('${path()}')`,
    "SELECT lo_export(1, '/tmp/x')",
    "LOAD '/tmp/evil.so'",
    "CREATE FUNCTION c() RETURNS int LANGUAGE c AS '/tmp/evil.so', 'c'",
    "CREATE FUNCTION i(text) RETURNS int LANGUAGE internal AS 'pg_read_file'",
    'CREATE EXTENSION plpython3u',
    'CREATE EXTENSION plperlu',
    'CREATE LANGUAGE plpython3u',
    'CREATE EXTENSION file_fdw',
    'CREATE EXTENSION dblink',
    'CREATE EXTENSION postgres_fdw',
    ...(major < 17 ? ['CREATE EXTENSION adminpack'] : []),
    "CREATE TABLESPACE t LOCATION '/tmp'",
    // The server's configuration.
    'ALTER SYSTEM SET work_mem = 1000',
    "SET session_preload_libraries = 'x'",
    "SET dynamic_library_path = '/tmp'",
    'SET update_process_title = on',
    'SET allow_system_table_mods = on',
    "ALTER ROLE root SET session_preload_libraries = 'x'",
    "ALTER DATABASE app SET session_preload_libraries = 'x'",
    "ALTER ROLE ALL SET work_mem = '5MB'",
    'SELECT pg_reload_conf()',
    'SELECT pg_rotate_logfile()',
    'GRANT SET ON PARAMETER session_preload_libraries TO root',
    // Secrets.
    'SELECT rolpassword FROM pg_authid',
    'SELECT passwd FROM pg_shadow',
    'SELECT subconninfo FROM pg_subscription',
    // The roles of Coffer, and more rights for itself.
    ...OURS.flatMap(name => [
      ...(name === 'os_owner' && major < 16 ? [] : [`SET ROLE ${name}`]),
      `SET SESSION AUTHORIZATION ${name}`,
      `ALTER ROLE ${name} PASSWORD 'x'`,
      `ALTER ROLE ${name} RENAME TO other`,
      `ALTER ROLE ${name} SET search_path = 'x'`,
      `DROP ROLE ${name}`,
      `GRANT ${name} TO ann`,
      `GRANT ${name} TO root WITH ADMIN OPTION`,
    ]),
    ...DANGEROUS.map(name => `GRANT ${name} TO root`),
    ...DANGEROUS.map(name => `GRANT ${name} TO ann`),
    'ALTER ROLE root SUPERUSER',
    'ALTER ROLE ann SUPERUSER',
    "COMMENT ON ROLE os_admin IS 'x'",
    'CREATE ROLE x SUPERUSER',
    'CREATE ROLE x REPLICATION',
    'CREATE ROLE x BYPASSRLS',
    'CREATE ROLE x IN ROLE pg_execute_server_program',
    'CREATE ROLE x ROLE os_admin IN ROLE os_admin',
    'UPDATE pg_authid SET rolsuper = true',
    'UPDATE pg_proc SET prosecdef = true',
    'CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; ' +
      'CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()',
    'CREATE FUNCTION d() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$ SELECT 1 $$; ' +
      'ALTER FUNCTION d() OWNER TO os_maint',
    'REASSIGN OWNED BY ann TO os_maint',
    'ALTER DEFAULT PRIVILEGES FOR ROLE os_maint GRANT ALL ON TABLES TO root',
    'CREATE PUBLICATION p FOR ALL TABLES',
    'ALTER DATABASE postgres OWNER TO root',
    'ALTER DATABASE postgres SET search_path = x',
    'CREATE DATABASE x TEMPLATE postgres',
    "CREATE SUBSCRIPTION s CONNECTION 'host=/tmp' PUBLICATION p WITH (connect = false)",
    'SELECT pg_create_logical_replication_slot($$s$$, $$test_decoding$$)',
    'ALTER EXTENSION plpgsql UPDATE',
    'CREATE OR REPLACE FUNCTION pg_catalog.now() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$',
    'CREATE TABLE pg_catalog.x ()',
    'CREATE CAST (text AS int) WITHOUT FUNCTION',
    'CREATE TYPE x; CREATE FUNCTION x_in(cstring) RETURNS x LANGUAGE internal STRICT AS $$int4in$$',
  ]

  it('runs no program, opens no file, and has no way to more rights', async () => {
    const root = await login()
    const before = await rows(maint, 'SELECT rolname, rolsuper, rolpassword FROM pg_authid ORDER BY 1')
    const unlike: string[] = []
    for (const text of FORBIDDEN()) {
      // Some may not stand in a transaction, and would be refused for that alone.
      const isAlone = /DATABASE|TABLESPACE|SYSTEM/.test(text)
      if (!isAlone) await root.query('BEGIN')
      const answer = await outcome(root, text)
      if (!REFUSED.test(answer)) unlike.push(`${text}: ${answer}`)
      if (!isAlone) await root.query('ROLLBACK')
    }
    expect(unlike).toEqual([])
    expect(await rows(maint, 'SELECT rolname, rolsuper, rolpassword FROM pg_authid ORDER BY 1')).toEqual(before)
  })

  it("does not end the agent's sessions", async () => {
    const root = await login()
    await cluster.driver.list_databases({ limit: 1 })
    const pids = await rows(maint, "SELECT pid FROM pg_stat_activity WHERE usename IN ('os_admin', 'os_maint')")
    expect(pids.length).toBeGreaterThan(1)
    for (const { pid } of pids) {
      expect(await outcome(root, `SELECT pg_terminate_backend(${pid})`)).toMatch(
        /permission denied|must be a (member|superuser)/,
      )
      expect(await outcome(root, `SELECT pg_cancel_backend(${pid})`)).toMatch(
        /permission denied|must be a (member|superuser)/,
      )
    }
  })

  it('runs nothing of its own by the script of an extension', async () => {
    const root = await login()
    // CVE-2022-2625: a script that replaces what somebody else made would run the body as the script's superuser.
    await root.query(`DROP EXTENSION "uuid-ossp";
      CREATE FUNCTION public.uuid_nil() RETURNS uuid LANGUAGE sql AS $$ SELECT NULL::uuid $$`)
    expect(await outcome(root, 'CREATE EXTENSION "uuid-ossp"')).toContain('already exists')
    await root.query('DROP FUNCTION public.uuid_nil(); CREATE EXTENSION "uuid-ossp"')
    // CVE-2023-2454: a schema's elements run under the settings of its creation.
    expect(await outcome(root, 'CREATE SCHEMA x AUTHORIZATION os_maint')).toMatch(REFUSED)
  })

  it('runs nothing of its own by a script that looks names up in its schema', async () => {
    const root = await login()
    await root.query(`CREATE SCHEMA trap; CREATE TABLE trap.runs (role name);
      GRANT ALL ON SCHEMA trap TO PUBLIC; GRANT ALL ON trap.runs TO PUBLIC;
      CREATE FUNCTION trap.note() RETURNS int LANGUAGE sql AS 'INSERT INTO trap.runs VALUES (current_user) RETURNING 1'`)
    for (const type of ['int4', 'text', 'cube', 'point', 'float8', 'regclass', 'name']) {
      await root.query(`CREATE FUNCTION trap.same(${type}, ${type}) RETURNS bool LANGUAGE sql AS 'SELECT trap.note() > 0';
        CREATE OPERATOR trap.= (FUNCTION = trap.same, LEFTARG = ${type}, RIGHTARG = ${type})`)
      for (const name of ['hashint4', 'hashtext', 'abs', 'sqrt', 'cube_distance', 'cube_is_point', 'relation_size']) {
        await root.query(`CREATE FUNCTION trap.${name}(${type}) RETURNS int LANGUAGE sql AS 'SELECT trap.note()'`)
      }
    }
    for (const { name } of TRUSTED_EXTENSIONS.filter(({ name }) => administratorExtensions(major).includes(name))) {
      await root.query(`DROP EXTENSION ${name}`)
      expect([name, await outcome(root, `CREATE EXTENSION ${name} SCHEMA trap`)]).toEqual([name, 'done'])
    }
    expect(await rows(root, 'SELECT DISTINCT role FROM trap.runs')).toEqual([])
    await root.query('SELECT trap.abs(1)')
    expect(await rows(root, 'SELECT DISTINCT role FROM trap.runs')).toEqual([{ role: 'root' }])
  })

  it('does not install what is not in the list', async () => {
    const root = await login()
    const all = await rows(maint, 'SELECT name FROM pg_available_extensions ORDER BY name')
    const others = all.map(({ name }) => name).filter(name => !administratorExtensions(major).includes(name))
    const installed = []
    for (const name of others) if ((await outcome(root, `CREATE EXTENSION "${name}"`)) === 'done') installed.push(name)
    // The languages that the engine trusts, where their interpreters are, and their transforms.
    expect(installed.filter(name => !/^(plperl|pltcl|(bool|hstore|jsonb)_plperl)$/.test(name))).toEqual([])
  })

  it('is a member of no role but its users, statistics and the owner of databases', async () => {
    const members = await rows(
      maint,
      `SELECT g.rolname AS name, m.admin_option AS admin FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
        JOIN pg_roles u ON u.oid = m.member WHERE u.rolname = 'root' ORDER BY 1`,
    )
    expect(members).toEqual([
      { name: 'ann', admin: true },
      { name: 'bob', admin: true },
      { name: 'os_owner', admin: false },
      { name: 'pg_read_all_settings', admin: false },
      { name: 'pg_read_all_stats', admin: false },
      { name: 'pg_stat_scan_tables', admin: false },
    ])
  })

  it('leaves the data of users whole, and they are still deleted', async () => {
    expect(await rows(maint, 'SELECT n FROM of_ann')).toEqual([{ n: 1 }])
    await cluster.driver.delete_user({ name: 'bob' })
    expect(await rows(maint, "SELECT tableowner FROM pg_tables WHERE tablename = 'of_bob'")).toEqual([
      { tableowner: 'os_former' },
    ])
  })

  it('cannot log in once disabled', async () => {
    await cluster.driver.disable_root({})
    expect(await cluster.driver.is_root_enabled({})).toBe(false)
    await expect(login()).rejects.toThrow(/not permitted to log in|password/)
  })
})
