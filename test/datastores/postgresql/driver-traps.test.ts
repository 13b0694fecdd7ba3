import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import type { Client } from 'pg'
import { type Cluster, newCluster } from './cluster.ts'

jest.setTimeout(120_000)

// What a tenant who has root can leave behind for the agent: functions, operators and types that stand in for the
// catalogue's, settings that put them first, and triggers. Each tells who ran it.
const TRAPS = `
  CREATE TABLE public.sprung (who text, super text);
  GRANT ALL ON public.sprung TO PUBLIC;
  CREATE SCHEMA evil;
  GRANT USAGE ON SCHEMA evil TO PUBLIC;
  CREATE FUNCTION evil.spring() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO public.sprung VALUES (current_user, current_setting('is_superuser'));
      RETURN true;
    END $$;
  CREATE FUNCTION evil.same(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.spring()';
  CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.same);
  CREATE FUNCTION evil.sameoid(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT evil.spring()';
  CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.sameoid);
  CREATE FUNCTION evil.pg_get_userbyid(oid) RETURNS name LANGUAGE sql AS 'SELECT evil.spring()::text::name';
  CREATE FUNCTION evil.has_database_privilege(oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.spring()';
  CREATE FUNCTION evil.to_regrole(text) RETURNS regrole LANGUAGE sql AS 'SELECT NULL::regrole FROM evil.spring()';
  CREATE FUNCTION evil.pg_terminate_backend(int) RETURNS boolean LANGUAGE sql AS 'SELECT evil.spring()';
  CREATE VIEW evil.pg_roles AS SELECT * FROM pg_catalog.pg_roles WHERE evil.spring();
  CREATE VIEW evil.pg_database AS SELECT * FROM pg_catalog.pg_database WHERE evil.spring();
  CREATE VIEW evil.pg_stat_activity AS SELECT * FROM pg_catalog.pg_stat_activity WHERE evil.spring();
  GRANT SELECT ON ALL TABLES IN SCHEMA evil TO PUBLIC;
  CREATE FUNCTION evil.ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.spring(); END $$;
  CREATE EVENT TRIGGER a ON ddl_command_start EXECUTE FUNCTION evil.ddl();
  CREATE EVENT TRIGGER b ON ddl_command_end EXECUTE FUNCTION evil.ddl();
  CREATE EVENT TRIGGER c ON sql_drop EXECUTE FUNCTION evil.ddl();
  ALTER EVENT TRIGGER a ENABLE ALWAYS;
  ALTER EVENT TRIGGER b ENABLE ALWAYS;
  ALTER EVENT TRIGGER c ENABLE ALWAYS;`

const PUT_FIRST = (database: string) => `
  ALTER DATABASE ${database} SET search_path = evil, pg_catalog, public;
  ALTER ROLE ALL SET search_path = evil, pg_catalog, public;`

describe.each(['15', '18'])("a tenant's traps in PostgreSQL %s", version => {
  let cluster: Cluster
  let root: Client
  beforeAll(async () => {
    cluster = await newCluster(version)
    cluster.context.root = 'superuser'
    const { driver } = cluster
    await driver.prepare({
      datastore_version: '18',
      databases: [{ name: 'app' }],
      users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'app' }] }],
    })
    await driver.enable_root_with_password({ root_password: 'root-1' })
    // Before 17, PostgreSQL has no way to keep triggers back that fire always, but to be without them.
    const traps = Number(version) < 17 ? TRAPS.replaceAll(/ALTER EVENT TRIGGER . ENABLE ALWAYS;/g, '') : TRAPS
    for (const database of ['postgres', 'app']) {
      const session = await cluster.connect('root', 'root-1', database)
      await session.query(traps)
      if (database === 'app') root = session
    }
    await root.query(PUT_FIRST('app') + PUT_FIRST('postgres'))
    await root.query('CREATE DATABASE mine')
  })
  afterAll(() => cluster.remove())

  it('work against a user of the tenant', async () => {
    const ann = await cluster.connect('ann', 'pw1', 'app')
    await ann.query('SELECT FROM pg_roles')
    expect((await root.query("SELECT DISTINCT who FROM public.sprung WHERE who = 'ann'")).rows).toEqual([
      { who: 'ann' },
    ])
    await ann.end()
  })

  it("never run as the agent's superuser, whatever verb is called", async () => {
    const { driver } = cluster
    const eve = { name: 'eve', password: 'pw2', databases: [{ name: 'app' }, { name: 'mine' }] }
    await driver.create_user({ users: [eve] })
    await driver.create_database({ databases: [{ name: 'later' }] })
    await driver.revoke_access({ name: 'eve', database: 'mine' })
    await driver.grant_access({ name: 'eve', databases: ['mine', 'later'] })
    await driver.list_access({ name: 'eve' })
    await driver.update_attributes({ name: 'eve', attributes: { name: 'eva', password: 'pw3', host: '127.0.0.1' } })
    await driver.change_passwords({ users: [{ name: 'ann', password: 'pw4' }] })
    const eva = await cluster.connect('eva', 'pw3', 'app')
    await eva.query('CREATE TABLE public.hers (n int)')
    await eva.end()
    await driver.delete_user({ name: 'eva' })
    await driver.delete_database({ name: 'later' })
    await driver.list_databases({ limit: 9 })
    await driver.list_users({ limit: 9 })
    await driver.ssl_action({ enable: false })
    await driver.enable_root_with_password({ root_password: 'root-2' })
    await driver.is_root_enabled({})
    expect(await cluster.status()).toBe('healthy')
    // A restarted agent sets the server up again.
    await driver.stop()
    const agent = cluster.restartAgent()
    await agent.start()
    await agent.disable_root({})
    for (const database of ['postgres', 'app']) {
      const superuser = await cluster.superuser(database)
      const sprung = "SELECT who, super FROM public.sprung WHERE who NOT IN ('postgres', 'ann', 'eva', 'eve')"
      const rows: { who: string; super: string }[] = (await superuser.query(sprung)).rows
      expect(rows.filter(row => row.who === 'os_maint' || row.super === 'on')).toEqual([])
      await superuser.end()
    }
  })
})
