import { chownSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { Client } from 'pg'
import type { Log } from '../../../../lib/kit/clock.ts'
import { messageOf } from '../../../../lib/kit/errors.ts'
import { type Cluster, newCluster } from '../cluster.ts'

jest.setTimeout(120_000)

const REFUSED = /permission denied|superuser|has no handler/
const ANN = { name: 'ann', password: 'pw1', databases: [{ name: 'app' }] }

/** What an earlier version made: a superuser postgres, and databases of os_admin. */
const EARLIER = `
  CREATE ROLE postgres SUPERUSER LOGIN PASSWORD 'old-root-1';
  ALTER DATABASE app OWNER TO os_admin;
  DROP ROLE os_owner`

/** What its superuser may leave behind, to be more than an administrator later. */
const LEFT_FOR_ALL = (major: number) => `
  CREATE ROLE hidden SUPERUSER LOGIN PASSWORD 'pw2';
  CREATE ROLE copier REPLICATION BYPASSRLS LOGIN PASSWORD 'pw3';
  GRANT pg_execute_server_program, pg_read_server_files TO ann;
  GRANT os_maint, os_admin TO hidden; GRANT postgres TO ann; GRANT pg_read_all_data TO postgres WITH ADMIN OPTION;
  CREATE ROLE os_owner; GRANT pg_execute_server_program TO os_owner; GRANT os_maint TO os_former;
  ALTER ROLE os_former SUPERUSER LOGIN PASSWORD 'pw5';
  GRANT SET ON PARAMETER dynamic_library_path TO os_former;
  GRANT SET ON PARAMETER session_preload_libraries, update_process_title TO ann;
  GRANT ALTER SYSTEM ON PARAMETER work_mem TO PUBLIC;
  ALTER ROLE ann SET session_preload_libraries = '';
  ALTER ROLE ann SET plperl.on_init = 'x';
  ALTER ROLE ann SET work_mem = '5MB';
  ALTER DATABASE app SET update_process_title = on;
  ALTER ROLE ALL SET log_statement = 'all';
  ${major < 16 ? 'ALTER ROLE ann CREATEROLE;' : ''}`

const LEFT_IN_DATABASE = `
  CREATE TABLE kept AS SELECT 42 AS n;
  GRANT SELECT ON kept TO ann;
  CREATE FUNCTION mighty() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT pg_read_file(''PG_VERSION'')';
  ALTER FUNCTION mighty() OWNER TO os_maint;
  CREATE FUNCTION mightier() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT pg_read_file(''PG_VERSION'')';
  CREATE VIEW secrets AS SELECT rolpassword FROM pg_authid;
  ALTER VIEW secrets OWNER TO os_maint; GRANT SELECT ON secrets TO ann;
  GRANT EXECUTE ON FUNCTION pg_read_file(text) TO ann;
  GRANT SELECT, UPDATE ON pg_authid TO ann;
  GRANT SELECT (rolpassword) ON pg_authid TO PUBLIC;
  CREATE FUNCTION inner_read(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all';
  CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
  CREATE FOREIGN TABLE said (line text) SERVER files OPTIONS (program 'id');
  GRANT SELECT ON said TO ann;
  CREATE LANGUAGE shell HANDLER plpgsql_call_handler;
  CREATE FUNCTION run() RETURNS int LANGUAGE shell AS 'BEGIN RETURN 1; END';
  CREATE FUNCTION run_on_insert() RETURNS trigger LANGUAGE shell AS 'BEGIN RAISE ''ran''; END';
  CREATE TRIGGER run BEFORE INSERT ON kept EXECUTE FUNCTION run_on_insert();
  ALTER FUNCTION pg_ls_dir(text) OWNER TO ann;
  CREATE EXTENSION dblink; GRANT EXECUTE ON FUNCTION dblink_connect_u(text) TO ann;
  CREATE FUNCTION trap() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN IF current_user = 'os_maint' THEN CREATE ROLE sprung SUPERUSER; END IF; END $$;
  CREATE EVENT TRIGGER trap ON ddl_command_start EXECUTE FUNCTION trap();
  ALTER EVENT TRIGGER trap ENABLE ALWAYS;`

/** Better matches than the catalogue's own, in its schema. */
const ADDED = `
  CREATE FUNCTION public.spring() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
      IF current_user = 'os_maint' AND to_regrole('sprung') IS NULL THEN CREATE ROLE sprung SUPERUSER; END IF;
      RETURN true;
    END $$;
  CREATE FUNCTION pg_catalog.format(text, name) RETURNS text LANGUAGE sql AS 'SELECT $1 || $2::text FROM public.spring()';
  CREATE FUNCTION pg_catalog.atleast(oid, int) RETURNS boolean LANGUAGE sql AS 'SELECT public.spring()';
  CREATE OPERATOR pg_catalog.>= (LEFTARG = oid, RIGHTARG = int, FUNCTION = pg_catalog.atleast);`

describe.each(['15', '18'])('an instance of PostgreSQL %s whose root was a superuser', version => {
  const major = Number(version)
  let cluster: Cluster
  let maint: Client
  const warnings: { fields: object; text: string }[] = []
  const rows = async (client: Client, text: string) => (await client.query(text)).rows
  const connectAnn = () => cluster.connect('ann', 'pw1', 'app')
  const outcome = (client: Client, text: string): Promise<string> => client.query(text).then(() => 'done', messageOf)

  beforeEach(async () => {
    warnings.length = 0
    cluster = await newCluster(version)
    const warn: Log['warn'] = (fields, text) => void warnings.push({ fields, text })
    Object.assign(cluster.context, { log: { ...cluster.context.log, warn, error: warn } })
    await cluster.driver.prepare({ datastore_version: version, databases: [{ name: 'app' }], users: [ANN] })
    await (await cluster.superuser()).query(EARLIER)
  })
  afterEach(() => cluster.remove())

  /** The driver of this version, after a restart of the server. */
  async function restart(): Promise<Cluster['driver']> {
    await cluster.driver.stop()
    const driver = cluster.restartAgent()
    await driver.start()
    maint = await cluster.superuser('app')
    return driver
  }

  it('has an administrator of the new name and the same password, with what it owned', async () => {
    const earlier = await cluster.connect('postgres', 'old-root-1', 'app')
    await earlier.query('CREATE TABLE mine AS SELECT 1 AS n')
    await earlier.query('CREATE DATABASE hers')
    const driver = await restart()
    expect(await driver.is_root_enabled({})).toBe(true)
    await expect(cluster.connect('postgres', 'old-root-1', 'app')).rejects.toThrow('password authentication failed')
    const root = await cluster.connect('root', 'old-root-1', 'app')
    expect(await rows(root, 'SHOW is_superuser')).toEqual([{ is_superuser: 'off' }])
    await root.query('INSERT INTO mine VALUES (2); SET ROLE ann; RESET ROLE; CREATE SCHEMA s')
    expect(await outcome(root, "COPY mine TO PROGRAM 'id'")).toMatch(REFUSED)
    const owners =
      "SELECT datname AS name, datdba::regrole::text AS owner FROM pg_database WHERE datname ~ '^(app|hers)$'"
    expect(await rows(maint, `${owners} ORDER BY 1`)).toEqual([
      { name: 'app', owner: 'os_owner' },
      { name: 'hers', owner: 'root' },
    ])
    await driver.create_database({ databases: [{ name: 'later' }] })
    for (const name of ['hers', 'later']) await driver.delete_database({ name })
  })

  it('has nothing left that gives more rights, and all its data', async () => {
    const earlier = await cluster.connect('postgres', 'old-root-1', 'app')
    await earlier.query(LEFT_FOR_ALL(major))
    await earlier.query(LEFT_IN_DATABASE)
    await restart()
    const attributes = `SELECT rolname FROM pg_roles WHERE oid >= 16384
      AND (rolsuper OR rolreplication OR rolbypassrls OR rolcreaterole AND rolname NOT IN ('os_admin', 'root'))`
    expect(await rows(maint, attributes)).toEqual([])
    const members = `SELECT u.rolname AS name, g.rolname AS role FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
      JOIN pg_roles u ON u.oid = m.member WHERE u.rolname IN ('ann', 'hidden', 'copier', 'os_former', 'os_owner')`
    expect(await rows(maint, members)).toEqual([])
    expect(
      await rows(maint, 'SELECT evtenabled AS on, evtowner::regrole::text AS owner FROM pg_event_trigger'),
    ).toEqual([{ on: 'D', owner: 'os_maint' }])
    const settings = 'SELECT unnest(setconfig) AS line FROM pg_db_role_setting'
    expect(
      (await rows(maint, settings)).map(({ line }) => line).filter(line => !line.startsWith('createrole')),
    ).toEqual(['work_mem=5MB'])
    const ann = await connectAnn()
    for (const text of [
      'SELECT mighty()',
      'SELECT mightier()',
      'SELECT * FROM secrets',
      'SELECT rolpassword FROM pg_authid',
      "UPDATE pg_authid SET rolsuper = true WHERE rolname = 'ann'",
      "SELECT pg_read_file('PG_VERSION')",
      'SELECT * FROM said',
      'SELECT run()',
      "SELECT pg_ls_dir('.')",
      "COPY kept TO PROGRAM 'id'",
      "SELECT dblink_connect_u('host=/tmp')",
      "SET session_preload_libraries = 'x'",
      'SET ROLE os_admin',
      'CREATE ROLE x',
    ]) {
      expect([text, await outcome(ann, text)]).toEqual([text, expect.stringMatching(REFUSED)])
    }
    const names = await rows(maint, "SELECT rolname FROM pg_roles WHERE oid >= 16384 AND rolname !~ '^os_' ORDER BY 1")
    expect(names.map(({ rolname }) => rolname)).toEqual(['ann', 'copier', 'hidden', 'root'])
    const root = await cluster.connect('root', 'old-root-1', 'app')
    await root.query('INSERT INTO kept VALUES (43)')
    expect(await rows(ann, 'SELECT n FROM kept')).toEqual([{ n: 42 }, { n: 43 }])
  })

  it('runs nothing that was added to the catalogue as the superuser of Coffer, in no database', async () => {
    const earlier = await cluster.connect('postgres', 'old-root-1', 'postgres')
    await earlier.query('CREATE DATABASE closed')
    for (const database of ['postgres', 'template1', 'app', 'closed']) {
      await (await cluster.connect('postgres', 'old-root-1', database)).query(ADDED)
    }
    await earlier.query('ALTER DATABASE closed ALLOW_CONNECTIONS false')
    const driver = await restart()
    await driver.create_user({ users: [{ ...ANN, name: 'bob' }] })
    await driver.delete_user({ name: 'bob' })
    const root = await cluster.connect('root', 'old-root-1', 'postgres')
    expect(await rows(root, 'SELECT datname AS name FROM pg_database WHERE NOT datallowconn ORDER BY 1')).toEqual([
      { name: 'closed' },
      { name: 'template0' },
    ])
    await root.query('ALTER DATABASE closed ALLOW_CONNECTIONS true')
    for (const database of ['postgres', 'app', 'closed']) {
      const superuser = await cluster.superuser(database)
      await superuser.query("SELECT format('%s', rolname) FROM pg_roles WHERE oid >= 16384")
      expect(await rows(superuser, "SELECT count(*)::int AS n FROM pg_roles WHERE rolname = 'sprung'")).toEqual([
        { n: 0 },
      ])
      const left = "SELECT oid::regprocedure::text AS name FROM pg_proc WHERE oid >= 16384 AND pronamespace = '11'"
      expect(await rows(superuser, left)).toEqual([])
    }
  })

  it('is reported for its functions that nobody can judge, and for nothing else', async () => {
    const earlier = await cluster.connect('postgres', 'old-root-1', 'app')
    await earlier.query(LEFT_FOR_ALL(major))
    await earlier.query(LEFT_IN_DATABASE)
    await restart()
    expect(warnings).toEqual([
      {
        fields: {
          database: 'app',
          functions: [
            { name: 'public.inner_read(text)', language: 'internal' },
            { name: 'public.run()', language: 'shell' },
            { name: 'public.run_on_insert()', language: 'shell' },
          ],
        },
        text: 'functions that may run any code',
      },
    ])
  })

  it('keeps a user of the API who is called root, and nobody logs in by the earlier name', async () => {
    await (await cluster.superuser()).query("CREATE ROLE root LOGIN PASSWORD 'pw4'")
    const driver = await restart()
    expect(await driver.is_root_enabled({})).toBe(false)
    await expect(cluster.connect('postgres', 'old-root-1', 'app')).rejects.toThrow('not permitted to log in')
    expect(await rows(maint, 'SELECT rolname FROM pg_roles WHERE rolsuper AND oid >= 16384')).toEqual([])
    await driver.enable_root_with_password({ root_password: 'root-2' })
    expect(await driver.is_root_enabled({})).toBe(true)
  })

  it('is the same after a second start, and can still be managed', async () => {
    await restart()
    const state = () =>
      rows(maint, 'SELECT member::regrole, roleid::regrole, admin_option FROM pg_auth_members ORDER BY 1, 2')
    const before = await state()
    const driver = await restart()
    expect(await state()).toEqual(before)
    await driver.create_user({ users: [{ ...ANN, name: 'bob' }] })
    await driver.delete_user({ name: 'bob' })
  })

  it('renames it but keeps it a superuser where the machine is its own', async () => {
    cluster.context.root = 'superuser'
    await restart()
    const root = await cluster.connect('root', 'old-root-1', 'app')
    expect(await rows(root, 'SHOW is_superuser')).toEqual([{ is_superuser: 'on' }])
    // The mode changes with a restart.
    cluster.context.root = 'administrator'
    await restart()
    const administrator = await cluster.connect('root', 'old-root-1', 'app')
    expect(await rows(administrator, 'SHOW is_superuser')).toEqual([{ is_superuser: 'off' }])
  })

  it('loads no library and runs no program that was written into its settings', async () => {
    const data = join(cluster.context.volume, 'data')
    const left = `shared_preload_libraries = '/tmp/evil'\narchive_mode = on\narchive_command = 'id'\n`
    writeFileSync(join(data, 'postgresql.conf'), `${left}${readFileSync(join(data, 'postgresql.conf'), 'utf8')}`)
    writeFileSync(
      join(data, 'postgresql.auto.conf'),
      `${left}hba_file = '/tmp/evil'\nsession_preload_libraries = 'x'\n`,
    )
    await restart()
    const names = "'{shared_preload_libraries,session_preload_libraries}'"
    expect(await rows(maint, `SELECT DISTINCT setting FROM pg_settings WHERE name = ANY (${names})`)).toEqual([
      { setting: '' },
    ])
    expect(await rows(maint, 'SHOW archive_mode')).toEqual([{ archive_mode: 'off' }])
    await connectAnn()
  })

  it('is served by an agent that ended just after the roles of Coffer got new passwords', async () => {
    const { volume, owner } = cluster.context
    expect(volume).toMatch(/coffer-pg-\w+\/volume$/)
    const file = join(volume, 'os_maint.pw')
    writeFileSync(`${file}.next`, 'next-1')
    if (owner) chownSync(`${file}.next`, owner.uid, owner.gid)
    await (await cluster.superuser()).query("ALTER ROLE os_maint PASSWORD 'next-1'; DROP ROLE postgres")
    await restart()
    expect([readFileSync(file, 'utf8'), existsSync(`${file}.next`)]).toEqual(['next-1', false])
  })

  it('has new passwords of the roles of Coffer, which its superuser could read', async () => {
    const secret = (role: string) => readFileSync(`${cluster.context.volume}/${role}.pw`, 'utf8')
    const before = ['os_maint', 'os_admin'].map(secret)
    await restart()
    const after = ['os_maint', 'os_admin'].map(secret)
    expect(after.filter(password => before.includes(password))).toEqual([])
    await restart()
    expect(['os_maint', 'os_admin'].map(secret)).toEqual(after)
  })
})
