import { identityAudit } from '../../lib/audit/identity.ts'
import { type Keystone, keystone } from '../../lib/keystone/keystone.ts'
import type { Log, LogFields } from '../../lib/kit/clock.ts'
import { type Seeded, seedAccounts } from '../../lib/platform/identity/builtin/accounts.ts'
import { builtinIdentity } from '../../lib/platform/identity/builtin/identity.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import type { Secrets } from '../../lib/ports/secrets.ts'
import type { Store } from '../../lib/ports/store.ts'
import { seededRandom, silentLog } from '../kit/random.ts'
import { secretsOf } from '../kit/secrets.ts'
import { type VirtualClock, virtualClock } from '../kit/virtual-clock.ts'

export const BASE = 'http://127.0.0.1:8779'
export const START = Date.UTC(2026, 0, 1)

/** One fixed master key; `fill` distinguishes installations. */
export function fixedSecrets(fill: number): Secrets {
  const key = { id: 'k1', bytes: new Uint8Array(32).fill(fill) }
  return secretsOf([key])
}

export interface Service {
  clock: VirtualClock
  store: Store
  identity: ReturnType<typeof builtinIdentity>
  keystone: Keystone
  demo: Seeded
  admin: Seeded
  alt: Seeded
  /** All log lines, as JSON. */
  logged(): string
}

const SEEDS = [
  { user: 'demo', password: 'demo-password', project: 'demo', roles: ['member', 'reader'] },
  { user: 'admin', password: 'admin-password', project: 'admin', roles: ['admin', 'member'] },
  { user: 'alt', password: 'alt-password', project: 'alt', roles: ['member'] },
]

/** Seeded once for each test file and then copied, as hashing is slow on purpose. */
const template = (async () => {
  const clock = virtualClock(START)
  const store = sqliteStore(':memory:', { clock })
  const random = seededRandom(99)
  const { accounts } = builtinIdentity({ store, secrets: fixedSecrets(1), clock, random })
  const [demo, admin, alt] = await seedAccounts(accounts, SEEDS)
  if (!demo || !admin || !alt) throw new Error('not seeded')
  const types = ['user', 'username', 'project', 'projectname', 'grant']
  const pages = await Promise.all(types.map(type => store.all(type, { limit: 100 })))
  const records = pages.flatMap(({ items }) => items)
  return { demo, admin, alt, changes: records.map(({ key, body }) => ({ op: 'put' as const, key, body })) }
})()

/** The builtin identity with three accounts, as the local cloud has them; each password is `<user>-password`. */
export async function service(options: { seed?: number; key?: number; lifetimeMs?: number } = {}): Promise<Service> {
  const { demo, admin, alt, changes } = await template
  const clock = virtualClock(START)
  const store = sqliteStore(':memory:', { clock })
  await store.transact(changes)
  const random = seededRandom(options.seed ?? 1)
  const lifetime = options.lifetimeMs === undefined ? {} : { lifetimeMs: options.lifetimeMs }
  const identity = builtinIdentity({ store, secrets: fixedSecrets(options.key ?? 1), clock, random, ...lifetime })
  const lines: unknown[] = []
  const log = recordingLog(lines)
  const handler = keystone({ identity, clock, log, store, audit: identityAudit({ store, clock, log }) })
  return { clock, store, identity, keystone: handler, demo, admin, alt, logged: () => JSON.stringify(lines) }
}

function recordingLog(lines: unknown[]): Log {
  const write = (fields: LogFields, message: string) => {
    const err = fields['err']
    lines.push({ ...fields, message, ...(err !== undefined && { err: String(err) }) })
  }
  return { ...silentLog, info: write, warn: write, error: write }
}

/** Claims for a token of a seeded account, issued without its password. */
export function claimsOf({ user, project }: Seeded, roles: string[] = ['member']) {
  return { user, project, roles, methods: ['password'], epoch: 1 }
}
