import { beforeAll, describe, expect, it } from '@jest/globals'
import { cloudFiles, readIfPresent } from '../files.ts'
import { exactCaller, query, refusal } from './api-helpers.ts'
import { sharedCloud } from './cloud.ts'
import { type Answer, createInstance, requestInstance, waitUntilGone } from './coffer.ts'
import { withHostPaused } from './fault-injection.ts'

const { coffer, demo, admin } = sharedCloud()
let shop: Answer['body']
let path: string
beforeAll(async () => {
  shop = await createInstance(demo, { databases: [{ name: 'cart' }] })
  path = `/instances/${shop.id}/root`
})

const login = (password: string, text = 'SHOW is_superuser') =>
  query(shop, { user: 'root', password, database: 'cart' }, text)
const enabled = async () => (await demo.call('GET', path)).body
const history = async () => (await admin.call('GET', `/mgmt${path}`)).body.root_history
const passwords: string[] = []

describe('root', () => {
  it('was never enabled', async () => {
    expect(await enabled()).toEqual({ rootEnabled: false })
    expect(await refusal(demo.call('DELETE', path))).toMatch(/^404 /)
    expect(await history()).toEqual({ id: shop.id, enabled: 'Never', user: 'Nobody' })
    expect((await admin.call('GET', `/mgmt/instances/${shop.id}`)).body.instance).not.toHaveProperty('root_enabled')
  })

  it('is enabled without a body, an administrator with a password of 36 characters', async () => {
    const { status, body } = await demo.call('POST', path)
    expect([status, body]).toEqual([200, { user: { name: 'root', password: expect.stringMatching(/^.{36}$/) } }])
    passwords.push(body.user.password)
    expect(await login(body.user.password)).toEqual([{ is_superuser: 'off' }])
    expect(await enabled()).toEqual({ rootEnabled: true })
    expect((await demo.call('GET', `${path}.json`)).body).toEqual({ rootEnabled: true })
    await login(body.user.password, 'CREATE TABLE roots (id int)')
  })

  it('gets another password on each request, random or given', async () => {
    const random = await demo.call('POST', path, {})
    passwords.push(random.body.user.password)
    expect(new Set(passwords).size).toBe(2)
    const given = await demo.call('POST', path, { password: 'given-root-pw-1' })
    expect(given.body).toEqual({ user: { name: 'root', password: 'given-root-pw-1' } })
    passwords.push('given-root-pw-1')
    expect(await login('given-root-pw-1')).toEqual([{ is_superuser: 'off' }])
    for (const old of passwords.slice(0, -1)) await expect(login(old)).rejects.toThrow(/password/)
  })

  it('runs no program and reads no file of the machine', async () => {
    for (const text of [
      "COPY roots FROM PROGRAM 'id'",
      "SELECT pg_read_file('postgresql.conf')",
      "SELECT lo_import('/etc/passwd')",
      'SET ROLE os_admin',
      'ALTER ROLE root SUPERUSER',
    ]) {
      await expect(login('given-root-pw-1', text)).rejects.toThrow(/permission denied|superuser/)
    }
  })

  it('is refused a password that no client could send', async () => {
    for (const password of ['', '!!!', 'a\0b', 7, ['x'], 'x'.repeat(1_025)]) {
      expect(await refusal(demo.call('POST', path, { password }))).toMatch(/^400 Validation error/)
    }
    expect(await login('given-root-pw-1')).toEqual([{ is_superuser: 'off' }])
  })

  it('is recorded: when it was first enabled, and by whom', async () => {
    const first = await history()
    expect(first).toEqual({
      id: shop.id,
      enabled: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}$/),
      user: expect.any(String),
    })
    expect(first.user).not.toBe('Nobody')
    await admin.call('POST', path, { password: 'given-root-pw-2' })
    passwords.push('given-root-pw-2')
    expect(await history()).toEqual(first)
    const { instance } = (await admin.call('GET', `/mgmt/instances/${shop.id}`)).body
    expect([instance.root_enabled, instance.root_enabled_by]).toEqual([first.enabled, first.user])
  })

  it('is disabled: it cannot log in, its tables stay, and users can still be managed', async () => {
    const { status, text } = await demo.call('DELETE', path)
    expect([status, text]).toEqual([204, ''])
    expect(await enabled()).toEqual({ rootEnabled: false })
    await expect(login('given-root-pw-2')).rejects.toThrow(/not permitted to log in|password/)
    expect((await demo.call('DELETE', path)).status).toBe(204)
    expect((await history()).enabled).not.toBe('Never')
    expect(
      (await demo.call('POST', `/instances/${shop.id}/databases`, { databases: [{ name: 'later' }] })).status,
    ).toBe(202)
    const { body } = await demo.call('POST', path)
    passwords.push(body.user.password)
    expect(await login(body.user.password, 'SELECT count(*)::int AS n FROM roots')).toEqual([{ n: 0 }])
  })

  it('leaves its passwords in no file and no log', async () => {
    expect(passwords).toHaveLength(5)
    const files = cloudFiles(coffer.dataDir)
    expect(files.some(file => file.endsWith('coffer.db'))).toBe(true)
    const leaks = files.filter(file => passwords.some(password => readIfPresent(file).includes(password)))
    expect(leaks).toEqual([])
    for (const password of passwords) expect(coffer.output()).not.toContain(password)
  })
})

describe('an instance that does not serve', () => {
  it('answers 422 while it is deleted, and 404 once it is gone', async () => {
    const call = exactCaller(coffer, demo)
    const methods = ['GET', 'POST', 'DELETE']
    const id = await withHostPaused(coffer, async () => {
      const created = await requestInstance(demo)
      expect((await call('DELETE', `/instances/${created.id}`)).status).toBe(202)
      for (const method of methods) {
        expect(await refusal(call(method, `/instances/${created.id}/root`))).toMatch(/^422 /)
      }
      return created.id
    })
    await waitUntilGone(demo, id)
    for (const method of methods) {
      expect(await refusal(demo.call(method, `/instances/${id}/root`))).toMatch(/^404 /)
    }
  })
})
