import { beforeAll, describe, expect, it } from '@jest/globals'
import { namesByPage, pathSegment, query, rawRequest, refusal, waitForUser } from './api-helpers.ts'
import { CART, sharedCloud } from './cloud.ts'
import { type Answer, createInstance, until } from './coffer.ts'

const { coffer, demo } = sharedCloud()
let shop: Answer['body']
beforeAll(async () => {
  shop = await createInstance(demo, {
    ...CART,
    databases: [{ name: 'cart', character_set: 'utf8', collate: 'de_DE' }],
  })
})

describe('databases', () => {
  let path: string
  beforeAll(() => {
    path = `/instances/${shop.id}/databases`
  })
  const names = async () => (await demo.call('GET', path)).body.databases.map(({ name }: { name: string }) => name)

  it('are created, listed and deleted', async () => {
    const answer = await demo.call('POST', path, {
      databases: [{ name: 'b1', character_set: 'utf8', collate: 'en_US' }, { name: 'b2' }],
    })
    expect([answer.status, answer.text]).toEqual([202, ''])
    await until('b2', async () => (await names()).includes('b2'))
    expect((await demo.call('GET', `${path}.json`)).body).toEqual({
      databases: [{ name: 'b1' }, { name: 'b2' }, { name: 'cart' }],
    })
    expect((await demo.call('POST', path, { database: { name: 'sdk' } })).status).toBe(202)
    expect((await demo.call('POST', path, { databases: [] })).status).toBe(202)
    await until('sdk', async () => (await names()).includes('sdk'))
    expect((await demo.call('DELETE', `${path}/sdk`)).status).toBe(202)
    await until('no sdk', async () => !(await names()).includes('sdk'))
  })

  it('are paged', async () => {
    expect(await namesByPage(demo, 'databases', `${path}?limit=2`)).toEqual([['b1', 'b2'], ['cart']])
    const { body } = await demo.call('GET', `${path}?limit=1`)
    expect(body.databases_links).toEqual(body.links)
    expect(await refusal(demo.call('GET', `${path}?limit=x`))).toMatch(/^400 limit/)
    expect(await refusal(demo.call('GET', `${path}?limit=0`))).toMatch(/^400 limit/)
  })

  it('are refused with the right code', async () => {
    expect(await refusal(demo.call('POST', path, { databases: [{ name: 'cart' }] }))).toBe(
      "400 Database 'cart' already exists.",
    )
    expect(await refusal(demo.call('POST', path, { databases: [{ name: 'x' }, { name: 'x' }] }))).toMatch(/^400 /)
    expect(await refusal(demo.call('POST', path, {}))).toMatch(/^400 Validation error/)
    expect(await refusal(demo.call('DELETE', `${path}/postgres`))).toBe('400 Database name postgres is reserved.')
    expect(await refusal(demo.call('DELETE', `${path}/nothing`))).toMatch(/^404 Database nothing cannot be found/)
    expect(await refusal(demo.call('GET', `${path}/cart`))).toMatch(/^501 /)
  })
})

describe('users', () => {
  let path: string
  beforeAll(() => {
    path = `/instances/${shop.id}/users`
  })
  const login = (user: string, password: string, database = 'cart') =>
    query(shop, { user, password, database }, 'SELECT 1')

  it('are created, shown and listed', async () => {
    const bob = { name: 'bob', password: 'pw2', host: '127.0.0.%', databases: [{ name: 'cart' }, { name: 'b1' }] }
    const answer = await demo.call('POST', path, { users: [bob] })
    expect([answer.status, answer.text]).toEqual([202, ''])
    await waitForUser(demo, path, 'bob', 200)
    const withGrants = await until('grants', async () => {
      const { user } = (await demo.call('GET', `${path}/bob@127%2e0%2e0%2e%25`)).body
      return user.databases.length === 2 && user
    })
    expect(withGrants).toEqual({ name: 'bob', host: '127.0.0.%', databases: [{ name: 'b1' }, { name: 'cart' }] })
    expect((await demo.call('GET', path)).body.users).toEqual([
      { name: 'ann', host: '%', databases: [{ name: 'cart' }] },
      withGrants,
    ])
    await login('bob', 'pw2', 'b1')
  })

  it('are created by openstacksdk too', async () => {
    const cid = { name: 'cid', password: 'pw3' }
    expect((await demo.call('POST', `${path}/cid`, { users: cid })).status).toBe(202)
    await waitForUser(demo, path, 'cid', 200)
    expect(await refusal(demo.call('POST', `${path}/dan`, { users: cid }))).toMatch(/^400 /)
  })

  it('are paged by name@host', async () => {
    expect(await namesByPage(demo, 'users', `${path}.json?limit=2`)).toEqual([['ann', 'bob'], ['cid']])
    const { body } = await demo.call('GET', `${path}?limit=1`)
    expect(new URL(body.links[0].href).searchParams.get('marker')).toBe('ann@%')
    expect(body.users_links).toEqual(body.links)
    for (const marker of ['ann', 'ann@%25', 'ann%40%25']) {
      expect((await demo.call('GET', `${path}?marker=${marker}`)).body.users[0].name).toBe('bob')
    }
  })

  it('are refused with the right code', async () => {
    const create = (user: object) =>
      refusal(demo.call('POST', path, { users: [{ name: 'new', password: 'pw', ...user }] }))
    expect(await create({ name: 'ann' })).toBe("400 User 'ann' already exists.")
    for (const name of ['postgres', 'root']) expect(await create({ name })).toMatch(/^400 .*reserved/)
    expect(await create({ name: 'pg_x' })).toMatch(/^400 .*reserved/)
    expect(await create({ host: 'localhost' })).toMatch(/^400 /)
    expect(await create({ databases: [{ name: 'nothing' }] })).toMatch(/^404 Database nothing/)
    for (const [method, tail, body] of [
      ['GET', '', undefined],
      ['DELETE', '', undefined],
      ['PUT', '', { user: { name: 'y' } }],
      ['GET', '/databases', undefined],
      ['PUT', '/databases', { databases: [{ name: 'cart' }] }],
      ['DELETE', '/databases/cart', undefined],
    ] as const) {
      expect(await refusal(demo.call(method, `${path}/x${tail}`, body))).toBe(
        '404 User x@% cannot be found on the instance.',
      )
    }
    expect(await refusal(demo.call('GET', `${path}/ann%4010.0.0.1`))).toMatch(/^404 User ann@10.0.0.1/)
    expect(await refusal(demo.call('GET', `${path}/os_admin`))).toMatch(/^400 /)
    expect(await refusal(demo.call('PUT', path, { users: [{ name: 'x', password: 'p' }] }))).toMatch(/^404 /)
  })

  it('get other passwords, in bulk or one by one', async () => {
    expect((await demo.call('PUT', path, { users: [{ name: 'ann', password: 'new1' }] })).status).toBe(202)
    await until('new password', () => login('ann', 'new1').catch(() => false))
    expect((await demo.call('PUT', `${path}/ann`, { user: { password: 'new2' } })).status).toBe(202)
    await until('newer password', () => login('ann', 'new2').catch(() => false))
    await expect(login('ann', 'new1')).rejects.toThrow(/password/)
  })

  it('get another name and host', async () => {
    expect(await refusal(demo.call('PUT', `${path}/cid`, { user: { name: 'ann' } }))).toBe(
      "400 User 'ann' already exists.",
    )
    expect(await refusal(demo.call('PUT', `${path}/cid`, { user: { name: 'postgres' } }))).toMatch(/^400 .*reserved/)
    expect((await demo.call('PUT', `${path}/cid`, { user: { name: 'eve', host: '10.0.0.0/8' } })).status).toBe(202)
    const { body } = await waitForUser(demo, path, 'eve', 200)
    expect(body.user).toEqual({ name: 'eve', host: '10.0.0.0/8', databases: [] })
    expect((await demo.call('GET', `${path}/cid`)).status).toBe(404)
  })

  it('are granted and revoked databases immediately', async () => {
    const grants = `${path}/ann/databases`
    expect((await demo.call('PUT', grants, { databases: [{ name: 'b1' }] })).status).toBe(202)
    expect((await demo.call('GET', grants)).body).toEqual({ databases: [{ name: 'b1' }, { name: 'cart' }] })
    await login('ann', 'new2', 'b1')
    expect((await demo.call('DELETE', `${grants}/b1`)).status).toBe(202)
    await expect(login('ann', 'new2', 'b1')).rejects.toThrow(/permission/)
    expect(await refusal(demo.call('DELETE', `${grants}/b1`))).toMatch(/^404 /)
    expect(await refusal(demo.call('PUT', grants, { databases: [{ name: 'nothing' }] }))).toMatch(/^404 /)
  })

  it('are created and granted with a database whose create is still pending', async () => {
    const fresh = [{ name: 'fresh' }]
    expect((await demo.call('POST', `/instances/${shop.id}/databases`, { databases: fresh })).status).toBe(202)
    const fay = { name: 'fay', password: 'pw4', databases: fresh }
    expect((await demo.call('POST', path, { users: [fay] })).status).toBe(202)
    expect((await demo.call('PUT', `${path}/fay/databases`, { databases: [{ name: 'cart' }] })).status).toBe(202)
    expect((await demo.call('PUT', `${path}/ann/databases`, { databases: fresh })).status).toBe(202)
    for (const [user, password] of [
      ['fay', 'pw4'],
      ['ann', 'new2'],
    ] as const) {
      for (const database of ['fresh', 'cart']) await login(user, password, database)
    }
    expect((await demo.call('DELETE', `${path}/fay`)).status).toBe(202)
    expect(await refusal(demo.call('DELETE', `${path}/fay`))).toMatch(/^404 /)
  })

  it('are deleted', async () => {
    for (const id of ['bob@127.0.0.%', 'eve']) {
      expect((await demo.call('DELETE', `${path}/${pathSegment(id)}`)).status).toBe(202)
      await waitForUser(demo, path, id, 404)
    }
    await expect(login('bob', 'pw2')).rejects.toThrow(/password/)
    expect(
      (await rawRequest('GET', coffer.base, `/v1.0/${demo.project}${path}/%2e%2e`, { 'x-auth-token': demo.token }))
        .status,
    ).toBe(404)
  })
})
