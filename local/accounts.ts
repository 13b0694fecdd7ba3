import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { seedAccounts } from '../lib/platform/identity/builtin/accounts.ts'
import type { IdentityService } from '../lib/ports/accounts.ts'
import { readTextIfExists, writePrivate } from './data-dir.ts'
import { StartupError } from './options.ts'

/** The three accounts of a local cloud, and the files that hold their passwords. */
const ACCOUNTS = [
  { file: 'openrc', cloud: 'coffer', user: 'demo', project: 'demo', roles: ['member'] },
  { file: 'openrc-admin', cloud: 'coffer-admin', user: 'admin', project: 'admin', roles: ['admin', 'member'] },
  { file: 'openrc-alt', cloud: 'coffer-alt', user: 'alt', project: 'alt', roles: ['member'] },
]

interface AccountOptions {
  /** The users that get a new password. */
  renew?: string[]
  /** Where several processes may write accounts at once: gives each of them the same password of a new user. */
  firstPassword?(user: string): Promise<string>
}

/**
 * Creates the accounts at the first start, and writes `openrc`, `openrc-admin`, `openrc-alt` and `clouds.yaml`, for
 * their owner only. Returns the users whose password stands in no file: they keep it, and get no file. Throws
 * StartupError for an unknown user in `renew`.
 */
export async function writeAccounts(
  dataDir: string,
  service: IdentityService,
  base: string,
  { renew = [], firstPassword }: AccountOptions = {},
): Promise<string[]> {
  const names = ACCOUNTS.map(({ user }) => user)
  if (!renew.every(name => names.includes(name))) throw new StartupError(`--new-password takes ${names.join(', ')}`)
  const newPassword = firstPassword ?? (async () => randomBytes(18).toString('base64url'))
  const candidates = await Promise.all(
    ACCOUNTS.map(async account => {
      const written = renew.includes(account.user) ? undefined : passwordOf(dataDir, account)
      return { ...account, isWritten: written !== undefined, password: written ?? (await newPassword(account.user)) }
    }),
  )
  const seeded = await seedAccounts(service.accounts, candidates)
  const accounts: typeof candidates = []
  for (const [index, { user, created }] of seeded.entries()) {
    const account = candidates[index]!
    if (renew.includes(user.name) && !created) await service.accounts.setPassword(user.id, account.password)
    const isKnown = created || account.isWritten || renew.includes(user.name)
    // Another gateway may have created it, with the same first password.
    if (isKnown || (firstPassword && (await service.logins.byPassword(user, account.password)))) accounts.push(account)
  }
  for (const account of accounts) writePrivate(join(dataDir, account.file), openrc(account, base))
  writePrivate(join(dataDir, 'clouds.yaml'), cloudsYaml(accounts, base))
  return names.filter(name => !accounts.some(({ user }) => user === name))
}

/** What to do about users whose password stands in no file; undefined if there are none. */
export function missingPasswords(users: string[]): string | undefined {
  if (users.length === 0) return undefined
  return `note: the password of ${users.join(', ')} is in no file, and stays as it is: for a new one start with --new-password USER`
}

type Account = (typeof ACCOUNTS)[number] & { password: string }

function openrc({ user, project, password }: Account, base: string): string {
  const variables = {
    OS_AUTH_TYPE: 'password',
    OS_AUTH_URL: `${base}/identity/v3`,
    OS_IDENTITY_API_VERSION: '3',
    OS_USERNAME: user,
    OS_PASSWORD: password,
    OS_PROJECT_NAME: project,
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
    OS_REGION_NAME: 'RegionOne',
  }
  return Object.entries(variables)
    .map(([name, value]) => `export ${name}=${value}\n`)
    .join('')
}

function cloudsYaml(accounts: Account[], base: string): string {
  const clouds = accounts.map(({ cloud, user, project, password }) =>
    [
      `  ${cloud}:`,
      '    auth:',
      `      auth_url: ${base}/identity/v3`,
      `      username: ${user}`,
      `      password: ${password}`,
      `      project_name: ${project}`,
      '      user_domain_name: Default',
      '      project_domain_name: Default',
      '    region_name: RegionOne',
      '    identity_api_version: 3',
      '',
    ].join('\n'),
  )
  return `clouds:\n${clouds.join('')}`
}

/** The password in the account's file, or in `clouds.yaml`. */
function passwordOf(dataDir: string, { file, cloud }: (typeof ACCOUNTS)[number]): string | undefined {
  const variables = readTextIfExists(join(dataDir, file)) ?? ''
  const clouds = readTextIfExists(join(dataDir, 'clouds.yaml')) ?? ''
  const [, section = ''] = clouds.split(`\n  ${cloud}:\n`)
  return (/^export OS_PASSWORD=(\S+)$/m.exec(variables) ?? /^ {6}password: (\S+)$/m.exec(section))?.[1]
}
