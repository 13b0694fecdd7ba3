import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { type Exact, exact, faultOf, query, segment } from './api-helpers.ts'
import { type Answer, type Coffer, createInstance, startCoffer, until, wipe } from './coffer.ts'

jest.setTimeout(60_000)

/** What PostgreSQL takes as a name, and what careless code stumbles over. */
const NAMES = [
  'a"b',
  "a'b",
  "x'; DROP DATABASE cart; --",
  'line\nbreak',
  'a\r\nSet-Cookie: x=1',
  '-rf',
  '--help',
  '🐘',
  'ünïcödé',
  'a/b',
  '../../etc/passwd',
  '50%',
  '%41',
  '%2e%2e',
  'x.json',
  '.',
  '..',
  ' before',
  'after ',
  'a@b',
  'ann@example.org',
  'a@%',
  '@',
  '$(id)',
  '`id`',
  '\\',
  '{name}',
  '__proto__',
  'null',
  'all',
  'PUBLIC',
  '#?&=+',
  '\u202egnol',
  '\t',
  'ü'.repeat(31),
  'x'.repeat(63),
  '+abc',
  'dbname=postgres host=elsewhere',
  'postgresql://elsewhere/x',
]

let coffer: Coffer
let call: Exact
let shop: Answer['body']
let at: string
beforeAll(async () => {
  coffer = await startCoffer()
  const demo = await coffer.login()
  call = exact(coffer, demo)
  shop = await createInstance(demo)
  at = `/instances/${shop.id}`
})
afterAll(async () => {
  await coffer?.stop()
  await wipe(coffer.dataDir)
})

/** Every row of a list, over all its pages. */
async function listed(key: 'users' | 'databases'): Promise<{ name: string }[]> {
  const rows: { name: string }[] = []
  for (let search = '?limit=7'; ; ) {
    const { body } = await call('GET', `${at}/${key}${search}`)
    rows.push(...body[key])
    if (!body.links) return rows
    search = new URL(body.links[0].href).search
  }
}
const names = async (key: 'users' | 'databases') => (await listed(key)).map(({ name }) => name).toSorted()

describe('hostile names', () => {
  it('can be created, and are listed as they are, page by page', async () => {
    const databases = NAMES.map(name => ({ name }))
    expect((await call('POST', `${at}/databases`, { databases })).status).toBe(202)
    await until('databases', async () => (await names('databases')).length === NAMES.length)
    const users = NAMES.map(name => ({ name, password: `pw ${name} 1`, databases: [{ name }] }))
    expect((await call('POST', `${at}/users`, { users })).status).toBe(202)
    await until('users', async () => (await names('users')).length === NAMES.length)
    expect(await names('databases')).toEqual(NAMES.toSorted())
    expect(await names('users')).toEqual(NAMES.toSorted())
  })

  it.each(NAMES)('%j works all the way', async name => {
    const user = `${at}/users/${segment(`${name}@%`)}`
    const database = segment(name)
    const shown = { name, host: '%', databases: [{ name }] }
    const granted = await until('grant', async () => {
      const answer = await call('GET', user)
      return answer.body.user?.databases.length === 1 && answer
    })
    expect(granted.body).toEqual({ user: shown })
    const login = { user: name, password: `pw ${name} 1`, database: name }
    expect(await query(shop, login, 'SELECT current_user::text AS me, current_database()::text AS here')).toEqual([
      { me: name, here: name },
    ])
    expect((await call('DELETE', `${user}/databases/${database}`)).status).toBe(202)
    await expect(query(shop, login, 'SELECT 1')).rejects.toThrow(/permission/)
    expect((await call('PUT', `${user}/databases`, { databases: [{ name }] })).status).toBe(202)
    await query(shop, login, 'CREATE TABLE mine (id int)')
    expect((await call('PUT', user, { user: { password: 'other 1' } })).status).toBe(202)
    await until('other password', () => query(shop, { ...login, password: 'other 1' }, 'SELECT 1').catch(() => false))
    expect(faultOf(await call('POST', `${at}/users`, { users: [{ name, password: 'x1' }] })).code).toBe(400)
    expect(faultOf(await call('POST', `${at}/databases`, { databases: [{ name }] })).code).toBe(400)
    expect((await call('DELETE', user)).status).toBe(202)
    expect((await call('DELETE', `${at}/databases/${database}`)).status).toBe(202)
  })

  it('are all gone after that', async () => {
    await until('no users', async () => (await listed('users')).length === 0)
    await until('no databases', async () => (await listed('databases')).length === 0)
  })

  it('that PostgreSQL would not keep as they are, or are its own, are refused', async () => {
    const bad = ['', 'a\0b', 'x'.repeat(64), 'ü'.repeat(32), '🐘'.repeat(16), 'postgres', 'os_admin']
    const lone = ['"\\ud800"', '"a\\udc00b"']
    for (const name of [...bad.map(each => JSON.stringify(each)), ...lone]) {
      const database = await call('POST', `${at}/databases`, `{"databases":[{"name":${name}}]}`)
      expect([name, faultOf(database).code]).toEqual([name, 400])
      const user = await call('POST', `${at}/users`, `{"users":[{"name":${name},"password":"p1"}]}`)
      expect([name, faultOf(user).code]).toEqual([name, 400])
    }
    for (const name of bad.filter(each => each !== '')) {
      for (const path of [`databases/${segment(name)}`, `users/${segment(name)}`]) {
        expect([path, faultOf(await call('DELETE', `${at}/${path}`)).code]).toEqual([path, 400])
      }
    }
    for (const database of ['template0', 'template1']) {
      expect(faultOf(await call('DELETE', `${at}/databases/${database}`)).code).toBe(400)
    }
    expect(faultOf(await call('POST', `${at}/users`, { users: [{ name: 'pg_x', password: 'p1' }] })).code).toBe(400)
  })

  it('of hosts are refused where they could reach into the access rules', async () => {
    for (const host of ['0.0.0.0/0 trust\nhost all all 0.0.0.0/0', 'all', 'samehost', '10.0.0.1 ', '/x', '::1', '%%']) {
      const users = [{ name: 'h', password: 'p1', host }]
      expect(faultOf(await call('POST', `${at}/users`, { users })).code).toBe(400)
    }
    for (const name of ['/x', 'a\nb']) {
      const users = [{ name, password: 'p1', host: '10.0.0.1' }]
      expect(faultOf(await call('POST', `${at}/users`, { users })).code).toBe(400)
    }
  })
})
