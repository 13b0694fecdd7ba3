import { beforeEach, describe, expect, it } from '@jest/globals'
import { inDefault, login, passwordBody, secretBody, send, tokenBody, tokenOf, valueAt } from './client.ts'
import { BASE, type Service, service } from './service.ts'

let fresh: Service
let token = ''
let path = ''
beforeEach(async () => {
  fresh = await service()
  token = (await fresh.identity.tokens.issue(claims())).token
  path = `/v3/users/${fresh.demo.user.id}/application_credentials`
})

const claims = () => ({
  user: fresh.demo.user,
  project: fresh.demo.project,
  roles: ['member', 'reader'],
  methods: ['password'],
  epoch: 1,
})
const create = (spec: object, by = token) =>
  send(fresh, 'POST', path, { token: by, body: { application_credential: spec } })

/** Creates a credential and logs in with it. */
async function createAndLogin(spec: object = { name: 'ci', secret: 's3cret' }) {
  const response = await create(spec)
  expect(response.status).toBe(201)
  const id = String(valueAt(response, 'application_credential', 'id'))
  const secret = String(valueAt(response, 'application_credential', 'secret'))
  const loggedIn = await login(fresh, secretBody({ id, secret }))
  return { id, secret, response: loggedIn, token: loggedIn.headers['X-Subject-Token'] ?? '' }
}

describe('application credentials', () => {
  it('are created with a secret that is shown once and stored nowhere', async () => {
    const response = await create({ name: 'ci', description: 'for CI', expires_at: '2026-02-01T00:00:00Z' })
    expect(response.status).toBe(201)
    const id = String(valueAt(response, 'application_credential', 'id'))
    const expected = {
      id,
      name: 'ci',
      description: 'for CI',
      user_id: fresh.demo.user.id,
      project_id: fresh.demo.project.id,
      roles: [
        { id: 'member', name: 'member', domain_id: null },
        { id: 'reader', name: 'reader', domain_id: null },
      ],
      expires_at: '2026-02-01T00:00:00.000000',
      unrestricted: false,
      system: null,
      links: { self: `${BASE}/identity${path}/${id}` },
    }
    const secret = valueAt(response, 'application_credential', 'secret')
    expect(secret).toEqual(expect.stringMatching(/^[\w-]{86}$/))
    expect(response.body).toEqual({ application_credential: { ...expected, secret } })
    expect((await send(fresh, 'GET', `${path}/${id}`, { token })).body).toEqual({ application_credential: expected })
    const list = await send(fresh, 'GET', path, { token })
    expect(valueAt(list, 'application_credentials')).toEqual([expected])
    expect(valueAt(list, 'links', 'self')).toBe(`${BASE}/identity${path}`)
    expect(JSON.stringify(await fresh.store.all('appcred', { limit: 10 }))).not.toContain(secret)
    expect(fresh.logged()).not.toContain(secret)
  })

  it.each<[string, number, (id: string) => object]>([
    ['id', 201, id => ({ id })],
    ['name and user name', 201, () => ({ name: 'ci', user: inDefault('demo') })],
    ['name and user id', 201, () => ({ name: 'ci', user: { id: fresh.demo.user.id } })],
    ['name and another user', 401, () => ({ name: 'ci', user: inDefault('alt') })],
    ['name and an unknown user', 401, () => ({ name: 'ci', user: inDefault('nobody') })],
    ['another name', 401, () => ({ name: 'cd', user: inDefault('demo') })],
    ['another id', 401, () => ({ id: 'nothing' })],
    ['name alone', 400, () => ({ name: 'ci' })],
    ['nothing', 400, () => ({})],
  ])('answer a login by %s with %i', async (_, status, by) => {
    const { id } = await createAndLogin()
    expect((await login(fresh, secretBody({ ...by(id), secret: 's3cret' }))).status).toBe(status)
    if (status === 201) expect((await login(fresh, secretBody({ ...by(id), secret: 'S3cret' }))).status).toBe(401)
  })

  it('give a token of their project and roles', async () => {
    const { id, response, token: theirs } = await createAndLogin({ name: 'ci', roles: [{ name: 'reader' }] })
    expect(response.status).toBe(201)
    expect(valueAt(response, 'token')).toMatchObject({
      methods: ['application_credential'],
      project: fresh.demo.project,
      roles: [{ id: 'reader', name: 'reader' }],
      application_credential: { id, name: 'ci', restricted: true },
      catalog: [{ type: 'database' }, { type: 'identity' }],
    })
    expect(await fresh.identity.verify(theirs)).toMatchObject({ user: fresh.demo.user, roles: ['reader'] })
  })

  it('refuse a login with a scope', async () => {
    const { id, secret } = await createAndLogin()
    const scope = { project: inDefault('demo') }
    expect((await login(fresh, secretBody({ id, secret }, scope))).status).toBe(401)
  })

  it('give tokens that cannot be exchanged for another project or more roles', async () => {
    await fresh.identity.accounts.setRoles(fresh.demo.user.id, fresh.alt.project.id, ['member'])
    const { token: theirs } = await createAndLogin({ name: 'ci', roles: [{ id: 'reader' }] })
    const same = await login(fresh, tokenBody(theirs, { project: inDefault('demo') }))
    expect(valueAt(same, 'token', 'roles')).toEqual([{ id: 'reader', name: 'reader' }])
    expect(valueAt(same, 'token', 'application_credential', 'name')).toBe('ci')
    expect(valueAt(await login(fresh, tokenBody(theirs)), 'token', 'roles')).toHaveLength(1)
    for (const scope of [{ project: inDefault('alt') }, 'unscoped', { unscoped: {} }, { domain: { id: 'default' } }]) {
      expect((await login(fresh, tokenBody(theirs, scope))).status).toBe(403)
    }
  })

  it('can be neither created nor deleted with tokens of their own', async () => {
    const { id, token: theirs } = await createAndLogin()
    const copy = (await login(fresh, tokenBody(theirs))).headers['X-Subject-Token'] ?? ''
    for (const by of [theirs, copy]) {
      expect((await create({ name: 'heir' }, by)).status).toBe(403)
      expect((await send(fresh, 'DELETE', `${path}/${id}`, { token: by })).status).toBe(403)
    }
    expect((await send(fresh, 'GET', path, { token: theirs })).status).toBe(200)
  })

  it('are deleted together with their tokens', async () => {
    const { id, secret, token: theirs } = await createAndLogin()
    expect(await send(fresh, 'DELETE', `${path}/${id}`, { token })).toMatchObject({ status: 204, body: undefined })
    expect(await fresh.identity.verify(theirs)).toBeUndefined()
    expect((await login(fresh, secretBody({ id, secret }))).status).toBe(401)
    expect((await send(fresh, 'GET', `${path}/${id}`, { token })).status).toBe(404)
    expect((await send(fresh, 'DELETE', `${path}/${id}`, { token })).status).toBe(404)
    expect((await create({ name: 'ci' })).status).toBe(201)
  })

  it('expire together with their tokens', async () => {
    const {
      id,
      secret,
      response,
      token: theirs,
    } = await createAndLogin({ name: 'ci', expires_at: '2026-01-01T00:10:00' })
    expect(valueAt(response, 'token', 'expires_at')).toBe('2026-01-01T00:10:00.000000Z')
    await fresh.clock.advance(600_000)
    expect(await fresh.identity.verify(theirs)).toBeUndefined()
    expect((await login(fresh, secretBody({ id, secret }))).status).toBe(401)
    expect(valueAt(await send(fresh, 'GET', path, { token }), 'application_credentials')).toEqual([])
    expect((await create({ name: 'ci' })).status).toBe(201)
  })

  it('lose the roles that their user loses', async () => {
    const { id, secret } = await createAndLogin({ name: 'ci', roles: [{ id: 'member' }] })
    await fresh.identity.accounts.setRoles(fresh.demo.user.id, fresh.demo.project.id, ['reader'])
    expect((await login(fresh, secretBody({ id, secret }))).status).toBe(401)
  })

  it('stop working when their user is disabled', async () => {
    const { id, secret, token: theirs } = await createAndLogin()
    await fresh.identity.accounts.setEnabled(fresh.demo.user.id, false)
    expect(await fresh.identity.verify(theirs)).toBeUndefined()
    expect((await login(fresh, secretBody({ id, secret }))).status).toBe(401)
  })

  it('are hidden from other users, except that an admin may see and delete them', async () => {
    const { id } = await createAndLogin()
    const [alt, admin] = [await tokenOf(fresh, 'alt'), await tokenOf(fresh, 'admin')]
    for (const [method, where] of [
      ['GET', path],
      ['GET', `${path}/${id}`],
      ['DELETE', `${path}/${id}`],
    ] as const) {
      expect((await send(fresh, method, where)).status).toBe(401)
      expect((await send(fresh, method, where, { token: alt })).status).toBe(403)
    }
    expect((await create({ name: 'x' }, alt)).status).toBe(403)
    expect((await create({ name: 'x' }, admin)).status).toBe(403)
    // Nor through the caller's own collection.
    const detour = `/v3/users/${fresh.alt.user.id}/application_credentials/${id}`
    expect((await send(fresh, 'GET', detour, { token: alt })).status).toBe(404)
    expect((await send(fresh, 'DELETE', detour, { token: alt })).status).toBe(404)
    expect((await send(fresh, 'GET', `${path}/${id}`, { token: admin })).status).toBe(200)
    expect((await send(fresh, 'DELETE', `${path}/${id}`, { token: admin })).status).toBe(204)
  })

  it('can only be created with a token that has a project', async () => {
    const unscoped = await login(fresh, passwordBody('demo', 'demo-password', 'unscoped'))
    expect((await create({ name: 'x' }, unscoped.headers['X-Subject-Token'])).status).toBe(403)
  })

  it('have names that are unique for a user', async () => {
    expect((await create({ name: 'ci' })).status).toBe(201)
    const response = await create({ name: 'ci' })
    expect(response.status).toBe(409)
    expect(valueAt(response, 'error', 'title')).toBe('Conflict')
    expect((await create({ name: 'cd' })).status).toBe(201)
    const list = await send(fresh, 'GET', path, { token, query: { name: 'cd' } })
    expect(valueAt(list, 'application_credentials')).toMatchObject([{ name: 'cd' }])
  })

  it.each<[string, object]>([
    ['no name', {}],
    ['an empty name', { name: '' }],
    ['a long name', { name: 'x'.repeat(256) }],
    ['a name that cannot be stored', { name: 'a\0b' }],
    ['a lone surrogate', { name: '\ud800' }],
    ['an empty secret', { name: 'x', secret: '' }],
    ['a role that the user does not have', { name: 'x', roles: [{ name: 'admin' }] }],
    ['an empty list of roles', { name: 'x', roles: [] }],
    ['a nameless role', { name: 'x', roles: [{}] }],
    ['a time in the past', { name: 'x', expires_at: '2025-12-31T23:59:59Z' }],
    ['a text in place of a time', { name: 'x', expires_at: 'tomorrow' }],
    ['a day that does not exist', { name: 'x', expires_at: '2026-13-45T00:00:00Z' }],
    ['no restriction', { name: 'x', unrestricted: true }],
    ['access rules', { name: 'x', access_rules: [{ path: '/', method: 'GET', service: 'x' }] }],
  ])('are refused with %s', async (_, spec) => {
    const response = await create(spec)
    expect([response.status, valueAt(response, 'error', 'title')]).toEqual([400, 'Bad Request'])
  })

  it('accept null and empty values for what a client leaves out', async () => {
    const nothing = { description: null, secret: null, roles: null, expires_at: null, unrestricted: false }
    expect((await create({ name: 'ci', ...nothing, access_rules: null })).status).toBe(201)
    expect((await create({ name: 'cd', unrestricted: null, access_rules: [], project_id: 'x' })).status).toBe(201)
  })
})
