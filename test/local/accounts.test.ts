import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { builtinIdentity } from '../../lib/platform/identity/builtin/identity.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import type { IdentityService } from '../../lib/ports/accounts.ts'
import { systemClock as clock, systemRandom as random } from '../../lib/wiring/system.ts'
import { writeAccounts } from '../../local/accounts.ts'
import { fixedSecrets } from '../keystone/service.ts'

const BASE = 'http://127.0.0.1:8779'

let dataDir: string
let identity: IdentityService
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'coffer-accounts-'))
  identity = builtinIdentity({ store: sqliteStore(':memory:', { clock }), secrets: fixedSecrets(1), clock, random })
})
afterEach(() => rmSync(dataDir, { recursive: true }))

const textOf = (file: string) => readFileSync(join(dataDir, file), 'utf8')
const passwordIn = (file: string) => /OS_PASSWORD=(\S+)/.exec(textOf(file))?.[1] ?? ''
const works = async (name: string, password: string) =>
  (await identity.logins.byPassword({ name }, password)) !== undefined

describe('the accounts of a data directory', () => {
  it('are written with passwords that work, and stay as they are at the next start', async () => {
    expect(await writeAccounts(dataDir, identity, BASE)).toEqual([])
    const password = passwordIn('openrc')
    expect(await works('demo', password)).toBe(true)
    expect(textOf('clouds.yaml')).toContain(`password: ${password}\n`)
    expect(await writeAccounts(dataDir, identity, BASE)).toEqual([])
    expect([passwordIn('openrc'), await works('demo', password)]).toEqual([password, true])
  })

  it('keep their password and tokens when their files were removed, and are named', async () => {
    await writeAccounts(dataDir, identity, BASE)
    const passwords = [passwordIn('openrc'), passwordIn('openrc-admin')]
    const { epoch } = (await identity.accounts.userByName('admin')) ?? { epoch: 0 }
    for (const file of ['openrc-admin', 'clouds.yaml']) rmSync(join(dataDir, file))
    expect(await writeAccounts(dataDir, identity, BASE)).toEqual(['admin'])
    expect(await Promise.all([works('demo', passwords[0]!), works('admin', passwords[1]!)])).toEqual([true, true])
    expect(await identity.accounts.userByName('admin')).toMatchObject({ epoch })
    expect(existsSync(join(dataDir, 'openrc-admin'))).toBe(false)
    expect(textOf('clouds.yaml')).toContain(`password: ${passwords[0]}\n`)
    expect(textOf('clouds.yaml')).not.toContain('coffer-admin')
  })

  it('get their file back from clouds.yaml, with the same password', async () => {
    await writeAccounts(dataDir, identity, BASE)
    const password = passwordIn('openrc-admin')
    rmSync(join(dataDir, 'openrc-admin'))
    expect(await writeAccounts(dataDir, identity, BASE)).toEqual([])
    expect(passwordIn('openrc-admin')).toBe(password)
  })

  it('get a new password on request only', async () => {
    await writeAccounts(dataDir, identity, BASE)
    const [demo, admin] = [passwordIn('openrc'), passwordIn('openrc-admin')]
    expect(await writeAccounts(dataDir, identity, BASE, { renew: ['admin'] })).toEqual([])
    expect(passwordIn('openrc')).toBe(demo)
    expect(passwordIn('openrc-admin')).not.toBe(admin)
    expect([await works('admin', admin), await works('admin', passwordIn('openrc-admin'))]).toEqual([false, true])
    await expect(writeAccounts(dataDir, identity, BASE, { renew: ['nobody'] })).rejects.toThrow(
      '--new-password takes demo, admin, alt',
    )
  })

  it('have the first password in the files of another gateway, unless it was changed', async () => {
    const firstPassword = async (user: string) => `first-of-${user}`
    await writeAccounts(dataDir, identity, BASE, { firstPassword })
    const { id = '' } = (await identity.accounts.userByName('admin')) ?? {}
    await identity.accounts.setPassword(id, 'changed')
    for (const file of ['openrc', 'openrc-admin', 'openrc-alt', 'clouds.yaml']) rmSync(join(dataDir, file))
    expect(await writeAccounts(dataDir, identity, BASE, { firstPassword })).toEqual(['admin'])
    expect(passwordIn('openrc')).toBe('first-of-demo')
    expect(await works('admin', 'changed')).toBe(true)
  })
})
