import {
  type Driver,
  RejectedByDatastore,
  type ServerControl,
  type SslState,
  type UserView,
} from '../../lib/datastores/driver.ts'

/** A database server in memory. `executed` has the commands that changed something, in order. */
export function memoryDriver(): Driver & ServerControl & { executed: string[] } {
  const databases = new Set<string>()
  const users = new Map<string, UserView>()
  const executed: string[] = []
  let root = false
  let ssl: SslState[] = [{ status: 'on', mode: 'basic' }]
  const sslView = () => ({ ...(ssl.at(-1) ?? { status: 'off' as const, mode: null }), restart_required: false })
  const requireUser = (name: string) => {
    const user = users.get(name)
    if (!user) throw new RejectedByDatastore(404, `no user ${name}`)
    return user
  }
  const driver: Driver & ServerControl & { executed: string[] } = {
    executed,
    async prepare(input) {
      executed.push('prepare')
      await driver.create_database(input.databases)
      await driver.create_user(input.users)
    },
    start: async () => {},
    stop: async () => {},
    exited: () => new Promise(() => {}),
    async create_database(specs) {
      for (const { name } of specs) databases.add(name)
      executed.push(...specs.map(({ name }) => `create_database ${name}`))
    },
    async delete_database(name) {
      if (!databases.delete(name)) throw new RejectedByDatastore(404, `no database ${name}`)
      executed.push(`delete_database ${name}`)
    },
    list_databases: async ({ limit, marker = '', include_marker = false }) => ({
      items: [...databases]
        .sort()
        .filter(name => name > marker || (include_marker && name === marker))
        .slice(0, limit)
        .map(name => ({ name })),
    }),
    async create_user(specs) {
      for (const { name, host = '%', databases: grants } of specs) users.set(name, { name, host, databases: grants })
      executed.push(...specs.map(({ name }) => `create_user ${name}`))
    },
    async delete_user(name) {
      if (!users.delete(name)) throw new RejectedByDatastore(404, `no user ${name}`)
      executed.push(`delete_user ${name}`)
    },
    get_user: async name => users.get(name),
    list_users: async ({ limit }) => ({ items: [...users.values()].slice(0, limit) }),
    change_passwords: async () => {},
    update_attributes: async () => {},
    list_access: async name => requireUser(name).databases,
    async grant_access(name, _host, added) {
      const { databases: before, ...attributes } = requireUser(name)
      users.set(name, { ...attributes, databases: [...before, ...added.map(database => ({ name: database }))] })
    },
    async revoke_access(name, _host, removed) {
      const { databases: before, ...attributes } = requireUser(name)
      const remaining = before.filter(database => database.name !== removed)
      if (remaining.length === before.length) throw new RejectedByDatastore(404, `no access to ${removed}`)
      users.set(name, { ...attributes, databases: remaining })
    },
    update_access: async networks => void executed.push(`update_access ${networks.join()}`),
    restart: async () => void executed.push('restart'),
    stop_db: async () => void executed.push('stop_db'),
    start_db_with_conf_changes: async () => void executed.push('start_db_with_conf_changes'),
    upgrade: async () => void executed.push('upgrade'),
    rebuild: async () => void executed.push('rebuild'),
    used_bytes: async () => 1_000_000,
    async enable_root_with_password() {
      root = true
      executed.push('enable_root_with_password')
    },
    async disable_root() {
      root = false
      executed.push('disable_root')
    },
    is_root_enabled: async () => root,
    diagnostics: async () => ({ version: '0', threads: 1, fdSize: 64, vmSize: 4, vmPeak: 4, vmRss: 2, vmHwm: 2 }),
    tls_key: async () => 'none',
    use_certificate: async () => {},
    ssl_show: async () => sslView(),
    async ssl_action(mode) {
      executed.push(`ssl_action ${mode}`)
      ssl = [...ssl.slice(-1), mode ? { status: 'on', mode } : { status: 'off', mode: null }]
      return sslView()
    },
    async ssl_rollback() {
      executed.push('ssl_rollback')
      ssl = ssl.slice(0, 1)
      return sslView()
    },
  }
  return driver
}
