import { beforeEach, describe, expect, it } from '@jest/globals'
import { ask, at, inDefault, login, passwordBody, secretBody, tokenBody, tokenOf } from './client.ts'
import { BASE, type Service, service } from './service.ts'

let made: Service
let token = ''
let path = ''
beforeEach(async () => {
  made = await service()
  token = (await made.identity.tokens.issue(claims())).token
  path = `/v3/users/${made.demo.user.id}/application_credentials`
})

const claims = () => ({
  user: made.demo.user,
  project: made.demo.project,
  roles: ['member', 'reader'],
  methods: ['password'],
  epoch: 1,
})
const create = (wish: object, by = token) =>
  ask(made, 'POST', path, { token: by, body: { application_credential: wish } })

/** A credential and a token got with it. */
async function created(wish: object = { name: 'ci', secret: 's3cret' }) {
  const answer = await create(wish)
  expect(answer.status).toBe(201)
  const id = String(at(answer, 'application_credential', 'id'))
  const secret = String(at(answer, 'application_credential', 'secret'))
  const got = await login(made, secretBody({ id, secret }))
  return { id, secret, answer: got, token: got.headers['X-Subject-Token'] ?? '' }
}

describe('application credentials', () => {
  it('are made with a secret that is shown once and kept nowhere', async () => {
    const answer = await create({ name: 'ci', description: 'for CI', expires_at: '2026-02-01T00:00:00Z' })
    expect(answer.status).toBe(201)
    const id = String(at(answer, 'application_credential', 'id'))
    const shown = {
      id,
      name: 'ci',
      description: 'for CI',
      user_id: made.demo.user.id,
      project_id: made.demo.project.id,
      roles: [
        { id: 'member', name: 'member', domain_id: null },
        { id: 'reader', name: 'reader', domain_id: null },
      ],
      expires_at: '2026-02-01T00:00:00.000000',
      unrestricted: false,
      system: null,
      links: { self: `${BASE}/identity${path}/${id}` },
    }
    const secret = at(answer, 'application_credential', 'secret')
    expect(secret).toEqual(expect.stringMatching(/^[\w-]{86}$/))
    expect(answer.body).toEqual({ application_credential: { ...shown, secret } })
    expect((await ask(made, 'GET', `${path}/${id}`, { token })).body).toEqual({ application_credential: shown })
    const list = await ask(made, 'GET', path, { token })
    expect(at(list, 'application_credentials')).toEqual([shown])
    expect(at(list, 'links', 'self')).toBe(`${BASE}/identity${path}`)
    expect(JSON.stringify(await made.store.all('appcred', { limit: 10 }))).not.toContain(secret)
    expect(made.logged()).not.toContain(secret)
  })

  it.each<[string, (id: string) => object, number]>([
    ['id', id => ({ id }), 201],
    ['name and user name', () => ({ name: 'ci', user: inDefault('demo') }), 201],
    ['name and user id', () => ({ name: 'ci', user: { id: made.demo.user.id } }), 201],
    ['name and another user', () => ({ name: 'ci', user: inDefault('alt') }), 401],
    ['name and an unknown user', () => ({ name: 'ci', user: inDefault('nobody') }), 401],
    ['another name', () => ({ name: 'cd', user: inDefault('demo') }), 401],
    ['another id', () => ({ id: 'nothing' }), 401],
    ['name alone', () => ({ name: 'ci' }), 400],
    ['nothing', () => ({}), 400],
  ])('log in by %s', async (_, by, status) => {
    const { id } = await created()
    expect((await login(made, secretBody({ ...by(id), secret: 's3cret' }))).status).toBe(status)
    if (status === 201) expect((await login(made, secretBody({ ...by(id), secret: 'S3cret' }))).status).toBe(401)
  })

  it('give a token of their project and roles', async () => {
    const { id, answer, token: theirs } = await created({ name: 'ci', roles: [{ name: 'reader' }] })
    expect(answer.status).toBe(201)
    expect(at(answer, 'token')).toMatchObject({
      methods: ['application_credential'],
      project: made.demo.project,
      roles: [{ id: 'reader', name: 'reader' }],
      application_credential: { id, name: 'ci', restricted: true },
      catalog: [{ type: 'database' }, { type: 'identity' }],
    })
    expect(await made.identity.verify(theirs)).toMatchObject({ user: made.demo.user, roles: ['reader'] })
  })

  it('take no scope', async () => {
    const { id, secret } = await created()
    const scope = { project: inDefault('demo') }
    expect((await login(made, secretBody({ id, secret }, scope))).status).toBe(401)
  })

  it('do not grow: their tokens get no other project and no more roles', async () => {
    await made.identity.accounts.setRoles(made.demo.user.id, made.alt.project.id, ['member'])
    const { token: theirs } = await created({ name: 'ci', roles: [{ id: 'reader' }] })
    const same = await login(made, tokenBody(theirs, { project: inDefault('demo') }))
    expect(at(same, 'token', 'roles')).toEqual([{ id: 'reader', name: 'reader' }])
    expect(at(same, 'token', 'application_credential', 'name')).toBe('ci')
    expect(at(await login(made, tokenBody(theirs)), 'token', 'roles')).toHaveLength(1)
    for (const scope of [{ project: inDefault('alt') }, 'unscoped', { unscoped: {} }, { domain: { id: 'default' } }]) {
      expect((await login(made, tokenBody(theirs, scope))).status).toBe(403)
    }
  })

  it('are neither made nor deleted with their own tokens', async () => {
    const { id, token: theirs } = await created()
    const copy = (await login(made, tokenBody(theirs))).headers['X-Subject-Token'] ?? ''
    for (const by of [theirs, copy]) {
      expect((await create({ name: 'heir' }, by)).status).toBe(403)
      expect((await ask(made, 'DELETE', `${path}/${id}`, { token: by })).status).toBe(403)
    }
    expect((await ask(made, 'GET', path, { token: theirs })).status).toBe(200)
  })

  it('are deleted with their tokens', async () => {
    const { id, secret, token: theirs } = await created()
    expect(await ask(made, 'DELETE', `${path}/${id}`, { token })).toMatchObject({ status: 204, body: undefined })
    expect(await made.identity.verify(theirs)).toBeUndefined()
    expect((await login(made, secretBody({ id, secret }))).status).toBe(401)
    expect((await ask(made, 'GET', `${path}/${id}`, { token })).status).toBe(404)
    expect((await ask(made, 'DELETE', `${path}/${id}`, { token })).status).toBe(404)
    expect((await create({ name: 'ci' })).status).toBe(201)
  })

  it('end in time, with their tokens', async () => {
    const { id, secret, answer, token: theirs } = await created({ name: 'ci', expires_at: '2026-01-01T00:10:00' })
    expect(at(answer, 'token', 'expires_at')).toBe('2026-01-01T00:10:00.000000Z')
    await made.clock.advance(600_000)
    expect(await made.identity.verify(theirs)).toBeUndefined()
    expect((await login(made, secretBody({ id, secret }))).status).toBe(401)
    expect(at(await ask(made, 'GET', path, { token }), 'application_credentials')).toEqual([])
    expect((await create({ name: 'ci' })).status).toBe(201)
  })

  it('lose the roles that their user loses', async () => {
    const { id, secret } = await created({ name: 'ci', roles: [{ id: 'member' }] })
    await made.identity.accounts.setRoles(made.demo.user.id, made.demo.project.id, ['reader'])
    expect((await login(made, secretBody({ id, secret }))).status).toBe(401)
  })

  it('stop with a disabled user', async () => {
    const { id, secret, token: theirs } = await created()
    await made.identity.accounts.setEnabled(made.demo.user.id, false)
    expect(await made.identity.verify(theirs)).toBeUndefined()
    expect((await login(made, secretBody({ id, secret }))).status).toBe(401)
  })

  it("are nobody else's; an admin may see and delete them", async () => {
    const { id } = await created()
    const [alt, admin] = [await tokenOf(made, 'alt'), await tokenOf(made, 'admin')]
    for (const [method, where] of [
      ['GET', path],
      ['GET', `${path}/${id}`],
      ['DELETE', `${path}/${id}`],
    ] as const) {
      expect((await ask(made, method, where)).status).toBe(401)
      expect((await ask(made, method, where, { token: alt })).status).toBe(403)
    }
    expect((await create({ name: 'x' }, alt)).status).toBe(403)
    expect((await create({ name: 'x' }, admin)).status).toBe(403)
    // By way of one's own folder, neither.
    const around = `/v3/users/${made.alt.user.id}/application_credentials/${id}`
    expect((await ask(made, 'GET', around, { token: alt })).status).toBe(404)
    expect((await ask(made, 'DELETE', around, { token: alt })).status).toBe(404)
    expect((await ask(made, 'GET', `${path}/${id}`, { token: admin })).status).toBe(200)
    expect((await ask(made, 'DELETE', `${path}/${id}`, { token: admin })).status).toBe(204)
  })

  it('need a token with a project', async () => {
    const unscoped = await login(made, passwordBody('demo', 'demo-password', 'unscoped'))
    expect((await create({ name: 'x' }, unscoped.headers['X-Subject-Token'])).status).toBe(403)
  })

  it('have names of their own', async () => {
    expect((await create({ name: 'ci' })).status).toBe(201)
    const answer = await create({ name: 'ci' })
    expect(answer.status).toBe(409)
    expect(at(answer, 'error', 'title')).toBe('Conflict')
    expect((await create({ name: 'cd' })).status).toBe(201)
    const found = await ask(made, 'GET', path, { token, query: { name: 'cd' } })
    expect(at(found, 'application_credentials')).toMatchObject([{ name: 'cd' }])
  })

  it.each<[string, object]>([
    ['no name', {}],
    ['an empty name', { name: '' }],
    ['a long name', { name: 'x'.repeat(256) }],
    ['a name that cannot be stored', { name: 'a\0b' }],
    ['half a character', { name: '\ud800' }],
    ['an empty secret', { name: 'x', secret: '' }],
    ["a role that is not one's own", { name: 'x', roles: [{ name: 'admin' }] }],
    ['no role', { name: 'x', roles: [] }],
    ['a nameless role', { name: 'x', roles: [{}] }],
    ['a time past', { name: 'x', expires_at: '2025-12-31T23:59:59Z' }],
    ['a time that is none', { name: 'x', expires_at: 'tomorrow' }],
    ['a day that is none', { name: 'x', expires_at: '2026-13-45T00:00:00Z' }],
    ['no bounds', { name: 'x', unrestricted: true }],
    ['rules that nobody would keep', { name: 'x', access_rules: [{ path: '/', method: 'GET', service: 'x' }] }],
  ])('are refused with %s', async (_, wish) => {
    const answer = await create(wish)
    expect([answer.status, at(answer, 'error', 'title')]).toEqual([400, 'Bad Request'])
  })

  it('are made from what clients send for nothing', async () => {
    const nothing = { description: null, secret: null, roles: null, expires_at: null, unrestricted: false }
    expect((await create({ name: 'ci', ...nothing, access_rules: null })).status).toBe(201)
    expect((await create({ name: 'cd', unrestricted: null, access_rules: [], project_id: 'x' })).status).toBe(201)
  })
})
