import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { seedAccounts } from '../lib/platform/identity/builtin/accounts.ts'
import type { IdentityService } from '../lib/ports/accounts.ts'
import { readTextIfExists, writePrivate } from './data-dir.ts'

/** The three accounts of a local cloud, and the files that hold their passwords. */
const ACCOUNTS = [
  { file: 'openrc', cloud: 'coffer', user: 'demo', project: 'demo', roles: ['member'] },
  { file: 'openrc-admin', cloud: 'coffer-admin', user: 'admin', project: 'admin', roles: ['admin', 'member'] },
  { file: 'openrc-alt', cloud: 'coffer-alt', user: 'alt', project: 'alt', roles: ['member'] },
]

/**
 * Creates the accounts at the first start, and writes `openrc`, `openrc-admin`, `openrc-alt` and `clouds.yaml`, for
 * their owner only. Where several processes may do so at once, `newPassword` must give each of them the same.
 */
export async function writeAccounts(
  dataDir: string,
  service: IdentityService,
  base: string,
  newPassword: (user: string) => Promise<string> = async () => randomBytes(18).toString('base64url'),
): Promise<void> {
  const accounts = await Promise.all(
    ACCOUNTS.map(async account => ({
      ...account,
      password: passwordIn(join(dataDir, account.file)) ?? (await newPassword(account.user)),
    })),
  )
  const seeded = await seedAccounts(service.accounts, accounts)
  for (const [index, { user, created }] of seeded.entries()) {
    const account = accounts[index]
    // The account exists but its file was lost: it gets the password that the new file will hold.
    if (account && !created && passwordIn(join(dataDir, account.file)) === undefined)
      await service.accounts.setPassword(user.id, account.password)
  }
  for (const account of accounts) writePrivate(join(dataDir, account.file), openrc(account, base))
  writePrivate(join(dataDir, 'clouds.yaml'), cloudsYaml(accounts, base))
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

const passwordIn = (path: string) => /^export OS_PASSWORD=(\S+)$/m.exec(readTextIfExists(path) ?? '')?.[1]
