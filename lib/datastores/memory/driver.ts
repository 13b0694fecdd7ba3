import {
  type AccessVerbs,
  type DatabaseVerbs,
  defineDriver,
  RejectedByDatastore,
  type RootVerbs,
  type Server,
  type SslState,
  type TlsVerbs,
  type UserVerbs,
  type UserView,
} from '../driver.ts'
import { memoryManifest } from './manifest.ts'

/** The state of a server, and what was done to it. */
interface Memory {
  databases: Set<string>
  users: Map<string, UserView>
  root: boolean
  /** The state of TLS, and the one before. */
  ssl: SslState[]
  /** The commands that changed something, in order. */
  executed: string[]
}

/** A database in memory. `executed` gets the commands that change something, in order. */
export const memoryDriver = defineDriver(memoryManifest, () => memoryVerbs([]))

/** Its verbs. */
export function memoryVerbs(executed: string[]) {
  const memory: Memory = {
    databases: new Set(),
    users: new Map(),
    root: false,
    ssl: [{ status: 'on', mode: 'basic' }],
    executed,
  }
  const databases = databaseVerbs(memory)
  const users = userVerbs(memory)
  const server: Server = {
    async prepare(input) {
      executed.push('prepare')
      await databases.create_database(input)
      await users.create_user(input)
    },
    start: async () => {},
    stop: async () => {},
    exited: () => new Promise(() => {}),
    used_bytes: async () => 1_000_000,
    diagnostics: async () => ({ version: '0', threads: 1, fdSize: 64, vmSize: 4, vmPeak: 4, vmRss: 2, vmHwm: 2 }),
  }
  const access: AccessVerbs = {
    update_access: async ({ allowed_cidrs }) => void executed.push(`update_access ${allowed_cidrs.join()}`),
  }
  return { ...server, ...databases, ...users, ...rootVerbs(memory), ...tlsVerbs(memory), ...access }
}

function databaseVerbs({ databases, executed }: Memory): DatabaseVerbs {
  return {
    async create_database({ databases: specs }) {
      for (const { name } of specs) databases.add(name)
      executed.push(...specs.map(({ name }) => `create_database ${name}`))
    },
    async delete_database({ name }) {
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
  }
}

function userVerbs({ users, executed }: Memory): UserVerbs {
  const requireUser = (name: string) => {
    const user = users.get(name)
    if (!user) throw new RejectedByDatastore(404, `no user ${name}`)
    return user
  }
  return {
    async create_user({ users: specs }) {
      for (const { name, host = '%', databases } of specs) users.set(name, { name, host, databases })
      executed.push(...specs.map(({ name }) => `create_user ${name}`))
    },
    async delete_user({ name }) {
      if (!users.delete(name)) throw new RejectedByDatastore(404, `no user ${name}`)
      executed.push(`delete_user ${name}`)
    },
    get_user: async ({ name }) => users.get(name) ?? null,
    list_users: async ({ limit }) => ({ items: [...users.values()].slice(0, limit) }),
    change_passwords: async () => {},
    update_attributes: async () => {},
    list_access: async ({ name }) => requireUser(name).databases,
    async grant_access({ name, databases: added }) {
      const { databases: before, ...attributes } = requireUser(name)
      users.set(name, { ...attributes, databases: [...before, ...added.map(database => ({ name: database }))] })
    },
    async revoke_access({ name, database: removed }) {
      const { databases: before, ...attributes } = requireUser(name)
      const remaining = before.filter(database => database.name !== removed)
      if (remaining.length === before.length) throw new RejectedByDatastore(404, `no access to ${removed}`)
      users.set(name, { ...attributes, databases: remaining })
    },
  }
}

function rootVerbs(memory: Memory): RootVerbs {
  const { executed } = memory
  return {
    async enable_root_with_password() {
      memory.root = true
      executed.push('enable_root_with_password')
    },
    async disable_root() {
      memory.root = false
      executed.push('disable_root')
    },
    is_root_enabled: async () => memory.root,
  }
}

function tlsVerbs(memory: Memory): TlsVerbs {
  const { executed } = memory
  const view = () => ({ ...(memory.ssl.at(-1) ?? { status: 'off' as const, mode: null }), restart_required: false })
  return {
    tls_key: async () => 'none',
    use_certificate: async () => {},
    ssl_show: async () => view(),
    async ssl_action({ enable, mode = 'basic' }) {
      executed.push(`ssl_action ${enable ? mode : undefined}`)
      memory.ssl = [...memory.ssl.slice(-1), enable ? { status: 'on', mode } : { status: 'off', mode: null }]
      return view()
    },
    async ssl_rollback() {
      executed.push('ssl_rollback')
      memory.ssl = memory.ssl.slice(0, 1)
      return view()
    },
  }
}
