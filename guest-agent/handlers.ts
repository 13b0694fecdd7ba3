import type { GuestMethods } from '../lib/contracts/guest.ts'
import type { Driver, Service } from '../lib/datastores/driver.ts'
import type { Handlers } from '../lib/kit/contract.ts'

/** What the agent does for each method of its contract: the driver's verbs. */
export const handlers: Handlers<GuestMethods, Driver & Service> = {
  rpc_ping: async () => true,
  prepare: async ({ databases, users, allowed_cidrs: networks = [] }, driver) =>
    done(driver.prepare({ databases, users, networks })),
  create_database: async ({ databases }, driver) => done(driver.create_database(databases)),
  delete_database: async ({ name }, driver) => done(driver.delete_database(name)),
  list_databases: async (page, driver) => driver.list_databases(page),
  create_user: async ({ users }, driver) => done(driver.create_user(users)),
  delete_user: async ({ name, host }, driver) => done(driver.delete_user(name, host)),
  get_user: async ({ name, host }, driver) => (await driver.get_user(name, host)) ?? null,
  list_users: async (page, driver) => driver.list_users(page),
  change_passwords: async ({ users }, driver) => done(driver.change_passwords(users)),
  update_attributes: async ({ name, host, attributes }, driver) =>
    done(driver.update_attributes(name, host, attributes)),
  list_access: async ({ name, host }, driver) => driver.list_access(name, host),
  grant_access: async ({ name, host, databases }, driver) => done(driver.grant_access(name, host, databases)),
  revoke_access: async ({ name, host, database }, driver) => done(driver.revoke_access(name, host, database)),
  restart: async (_, driver) => done(driver.restart()),
  stop_db: async (_, driver) => done(driver.stop_db()),
  start_db_with_conf_changes: async (_, driver) => done(driver.start_db_with_conf_changes()),
  upgrade: async (_, driver) => done(driver.upgrade()),
  rebuild: async (_, driver) => done(driver.rebuild()),
  update_access: async ({ allowed_cidrs }, driver) => done(driver.update_access(allowed_cidrs)),
  get_filesystem_stats: async (_, driver) => ({ used: await driver.used_bytes() }),
}

/** Commands that have nothing to say answer null. */
const done = async (work: Promise<void>): Promise<null> => {
  await work
  return null
}
