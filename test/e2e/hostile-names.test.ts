import { beforeAll, describe, expect, it } from '@jest/globals'
import { type ExactCall, exactCaller, faultOf, pathSegment, query } from './api-helpers.ts'
import { ownCloud } from './cloud.ts'
import { type Answer, createInstance, until } from './coffer.ts'

/** Names that PostgreSQL accepts and careless code breaks on. */
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

const { coffer, demo } = ownCloud(['--spares', '0'])
let call: ExactCall
let shop: Answer['body']
let at: string
beforeAll(async () => {
  call = exactCaller(coffer, demo)
  shop = await createInstance(demo)
  at = `/instances/${shop.id}`
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

  it.each(NAMES)('%j works in every request and in SQL', async name => {
    const userPath = `${at}/users/${pathSegment(`${name}@%`)}`
    const database = pathSegment(name)
    const user = { name, host: '%', databases: [{ name }] }
    const granted = await until('grant', async () => {
      const answer = await call('GET', userPath)
      return answer.body.user?.databases.length === 1 && answer
    })
    expect(granted.body).toEqual({ user })
    const login = { user: name, password: `pw ${name} 1`, database: name }
    expect(await query(shop, login, 'SELECT current_user::text AS me, current_database()::text AS here')).toEqual([
      { me: name, here: name },
    ])
    expect((await call('DELETE', `${userPath}/databases/${database}`)).status).toBe(202)
    await expect(query(shop, login, 'SELECT 1')).rejects.toThrow(/permission/)
    expect((await call('PUT', `${userPath}/databases`, { databases: [{ name }] })).status).toBe(202)
    await query(shop, login, 'CREATE TABLE items (id int)')
    expect((await call('PUT', userPath, { user: { password: 'other 1' } })).status).toBe(202)
    await until('other password', () => query(shop, { ...login, password: 'other 1' }, 'SELECT 1').catch(() => false))
    expect(faultOf(await call('POST', `${at}/users`, { users: [{ name, password: 'x1' }] })).code).toBe(400)
    expect(faultOf(await call('POST', `${at}/databases`, { databases: [{ name }] })).code).toBe(400)
    expect((await call('DELETE', userPath)).status).toBe(202)
    expect((await call('DELETE', `${at}/databases/${database}`)).status).toBe(202)
  })

  it('are gone once they are deleted', async () => {
    await until('no users', async () => (await listed('users')).length === 0)
    await until('no databases', async () => (await listed('databases')).length === 0)
  })

  it('are refused if PostgreSQL would change them or reserves them', async () => {
    const bad = ['', 'a\0b', 'x'.repeat(64), 'ü'.repeat(32), '🐘'.repeat(16), 'postgres', 'os_admin']
    const lone = ['"\\ud800"', '"a\\udc00b"']
    for (const name of [...bad.map(each => JSON.stringify(each)), ...lone]) {
      const database = await call('POST', `${at}/databases`, `{"databases":[{"name":${name}}]}`)
      expect([name, faultOf(database).code]).toEqual([name, 400])
      const user = await call('POST', `${at}/users`, `{"users":[{"name":${name},"password":"p1"}]}`)
      expect([name, faultOf(user).code]).toEqual([name, 400])
    }
    for (const name of bad.filter(each => each !== '')) {
      for (const path of [`databases/${pathSegment(name)}`, `users/${pathSegment(name)}`]) {
        expect([path, faultOf(await call('DELETE', `${at}/${path}`)).code]).toEqual([path, 400])
      }
    }
    for (const database of ['template0', 'template1']) {
      expect(faultOf(await call('DELETE', `${at}/databases/${database}`)).code).toBe(400)
    }
    expect(faultOf(await call('POST', `${at}/users`, { users: [{ name: 'pg_x', password: 'p1' }] })).code).toBe(400)
  })

  it('of hosts are refused where they could inject access rules', async () => {
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
