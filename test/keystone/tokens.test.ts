import { beforeAll, describe, expect, it } from '@jest/globals'
import { inDefault, login, passwordBody, secretBody, send, tokenBody, tokenOf, valueAt } from './client.ts'
import { BASE, type Service, START, service } from './service.ts'

const DEFAULT = { id: 'default', name: 'Default' }
const HOUR = 3_600_000
const UNAUTHORIZED = {
  error: { code: 401, title: 'Unauthorized', message: 'The request you have made requires authentication.' },
}

let shared: Service
beforeAll(async () => {
  shared = await service()
})

const endpoints = (name: string, url: string) =>
  ['public', 'internal', 'admin'].map(side => ({
    id: `${name}-${side}`,
    interface: side,
    region: 'RegionOne',
    region_id: 'RegionOne',
    url,
  }))
const catalog = (project: string) => [
  { id: 'trove', type: 'database', name: 'trove', endpoints: endpoints('trove', `${BASE}/v1.0/${project}`) },
  { id: 'keystone', type: 'identity', name: 'keystone', endpoints: endpoints('keystone', `${BASE}/identity/v3`) },
]

describe('discovery', () => {
  const version = {
    id: 'v3.14',
    status: 'stable',
    updated: expect.stringMatching(/Z$/),
    links: [{ rel: 'self', href: `${BASE}/identity/v3/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
  }

  it.each(['', '/'])('lists the versions at %j', async path => {
    const response = await send(shared, 'GET', path)
    expect(response).toMatchObject({ status: 300, headers: { 'Content-Type': 'application/json' } })
    expect(response.body).toEqual({ versions: { values: [version] } })
  })

  it.each(['/v3', '/v3/'])('shows the version at %s', async path => {
    const response = await send(shared, 'GET', path)
    expect(response.status).toBe(200)
    expect(response.body).toEqual({ version })
    expect(await send(shared, 'HEAD', path)).toMatchObject({ status: 200, body: undefined })
  })
})

describe('POST /v3/auth/tokens by password', () => {
  it('returns a token with project, roles and catalog, as Keystone does', async () => {
    const response = await login(shared, passwordBody('demo', 'demo-password', { project: inDefault('demo') }))
    expect(response.status).toBe(201)
    expect(response.headers).toMatchObject({ Vary: 'X-Auth-Token', 'Content-Type': 'application/json' })
    expect(response.body).toEqual({
      token: {
        methods: ['password'],
        user: { ...shared.demo.user, domain: DEFAULT, password_expires_at: null },
        project: { ...shared.demo.project, domain: DEFAULT },
        is_domain: false,
        roles: [
          { id: 'member', name: 'member' },
          { id: 'reader', name: 'reader' },
        ],
        audit_ids: [expect.stringMatching(/^[\w-]{22}$/)],
        issued_at: '2026-01-01T00:00:00.000000Z',
        expires_at: '2026-01-01T08:00:00.000000Z',
        catalog: catalog(shared.demo.project.id),
      },
    })
    expect(await shared.identity.verify(response.headers['X-Subject-Token'] ?? '')).toEqual({
      user: shared.demo.user,
      project: shared.demo.project,
      roles: ['member', 'reader'],
      expires: START + 8 * HOUR,
    })
  })

  it('leaves the catalog out on request', async () => {
    const response = await login(shared, passwordBody('demo', 'demo-password'), { nocatalog: '' })
    expect(response.status).toBe(201)
    expect(valueAt(response, 'token')).not.toHaveProperty('catalog')
    expect(valueAt(response, 'token', 'roles')).toHaveLength(2)
  })

  it.each<[string, () => object]>([
    ['by id', () => ({ id: shared.demo.user.id })],
    ['by name and domain name', () => inDefault('demo')],
    ['by name and domain id', () => ({ name: 'demo', domain: { id: 'default' } })],
    ['by name and domain in another case', () => ({ name: 'demo', domain: { name: 'default' } })],
    ['by name alone', () => ({ name: 'demo' })],
  ])('finds the user %s', async (_, user) => {
    const password = { user: { ...user(), password: 'demo-password' } }
    const response = await login(shared, { auth: { identity: { methods: ['password'], password } } })
    expect(response.status).toBe(201)
    expect(valueAt(response, 'token', 'user', 'name')).toBe('demo')
  })

  it.each<[string, () => unknown, string | undefined]>([
    ['the project by id', () => ({ project: { id: shared.demo.project.id } }), 'demo'],
    ['the project by name and domain name', () => ({ project: inDefault('demo') }), 'demo'],
    ['the project by name and domain id', () => ({ project: { name: 'demo', domain: { id: 'default' } } }), 'demo'],
    ['the default project', () => undefined, 'demo'],
    ['none', () => 'unscoped', undefined],
    ['none, as an object', () => ({ unscoped: {} }), undefined],
  ])('accepts as scope %s', async (_, scope, name) => {
    const response = await login(shared, passwordBody('demo', 'demo-password', scope()))
    expect(response.status).toBe(201)
    expect(valueAt(response, 'token', 'project', 'name')).toBe(name)
  })

  it('returns a token without project, roles and catalog for a user without projects', async () => {
    await shared.identity.accounts.createUser({ name: 'homeless', password: 'homeless-password' })
    const response = await login(shared, passwordBody('homeless', 'homeless-password'))
    expect(response.status).toBe(201)
    const keys = Object.keys(Object(valueAt(response, 'token'))).sort()
    expect(keys).toEqual(['audit_ids', 'expires_at', 'issued_at', 'methods', 'user'])
    expect(await shared.identity.verify(response.headers['X-Subject-Token'] ?? '')).toBeUndefined()
  })

  it.each<[string, () => unknown]>([
    ['a wrong password', () => passwordBody('demo', 'wrong')],
    ['no password', () => passwordBody('demo', '')],
    ['an unknown user', () => passwordBody('nobody', 'demo-password')],
    ['a user of another domain', () => domainBody({ name: 'demo', domain: { name: 'Other' } })],
    ['a user of another domain by id', () => domainBody({ name: 'demo', domain: { id: 'other' } })],
    ['an unknown id', () => domainBody({ id: 'nobody' })],
    ['an impossible id', () => domainBody({ id: '../\0' })],
    ['an unknown project', () => passwordBody('demo', 'demo-password', { project: inDefault('nowhere') })],
    ["another's project", () => passwordBody('demo', 'demo-password', { project: inDefault('alt') })],
    [
      "another's project by id",
      () => passwordBody('demo', 'demo-password', { project: { id: shared.alt.project.id } }),
    ],
    [
      'a project of another domain',
      () => passwordBody('demo', 'demo-password', { project: { name: 'demo', domain: { id: 'other' } } }),
    ],
    ['a domain as scope', () => passwordBody('demo', 'demo-password', { domain: { id: 'default' } })],
    ['the system as scope', () => passwordBody('demo', 'demo-password', { system: { all: true } })],
    ['another text as scope', () => passwordBody('demo', 'demo-password', 'everything')],
    ['an unknown method', () => ({ auth: { identity: { methods: ['totp'], totp: {} } } })],
  ])('refuses %s with the same message', async (_, body) => {
    const response = await login(shared, body())
    expect(response.status).toBe(401)
    expect(response.body).toEqual(UNAUTHORIZED)
    expect(response.headers['WWW-Authenticate']).toBe(`Keystone uri="${BASE}/identity/v3"`)
    expect(response.headers).not.toHaveProperty('X-Subject-Token')
  })

  const domainBody = (user: object) => ({
    auth: { identity: { methods: ['password'], password: { user: { ...user, password: 'demo-password' } } } },
  })

  it('refuses a disabled user', async () => {
    const user = await shared.identity.accounts.createUser({ name: 'gone', password: 'gone-password' })
    await shared.identity.accounts.setEnabled(user.id, false)
    expect(await login(shared, passwordBody('gone', 'gone-password'))).toMatchObject({
      status: 401,
      body: UNAUTHORIZED,
    })
  })

  it('refuses even the right password after ten failures, until the minute ends', async () => {
    const fresh = await service()
    for (let n = 0; n < 10; n++) expect((await login(fresh, passwordBody('demo', `no ${n}`))).status).toBe(401)
    const refused = await login(fresh, passwordBody('demo', 'demo-password'))
    expect(refused).toMatchObject({ status: 401, body: UNAUTHORIZED })
    expect((await login(fresh, passwordBody('alt', 'alt-password'))).status).toBe(201)
    await fresh.clock.advance(60_000)
    expect((await login(fresh, passwordBody('demo', 'demo-password'))).status).toBe(201)
  })

  it('lets a user in while somebody else fails under his name at another address', async () => {
    const fresh = await service()
    const from = (remote: string, password: string) =>
      send(fresh, 'POST', '/v3/auth/tokens', { body: passwordBody('demo', password), remote })
    for (let n = 0; n < 20; n++) expect((await from('192.0.2.66', `no ${n}`)).status).toBe(401)
    expect((await from('192.0.2.66', 'demo-password')).status).toBe(401)
    expect((await from('192.0.2.1', 'demo-password')).status).toBe(201)
  })

  it('names user and address of a refused login in the log, cut to a bounded length', async () => {
    const fresh = await service()
    await send(fresh, 'POST', '/v3/auth/tokens', { body: passwordBody('demo', 'no'), remote: '192.0.2.66' })
    await login(fresh, passwordBody('x'.repeat(200), 'no'))
    await login(fresh, secretBody({ name: 'ci', user: inDefault('demo'), secret: 'no' }))
    expect(JSON.parse(fresh.logged())).toEqual([
      { message: 'login refused', user: 'demo', remote: '192.0.2.66' },
      { message: 'login refused', user: 'x'.repeat(64), remote: '192.0.2.1' },
      { message: 'login refused', credential: 'ci', user: 'demo', remote: '192.0.2.1' },
    ])
  })

  it('writes no password to the log', async () => {
    await login(shared, passwordBody('demo', 'hunter2-wrong'))
    expect(shared.logged()).toContain('login refused')
    expect(shared.logged()).not.toMatch(/hunter2|demo-password/)
  })
})

describe('POST /v3/auth/tokens by token', () => {
  it('changes the project, keeps the expiry and names the first token in audit_ids', async () => {
    const fresh = await service()
    await fresh.identity.accounts.setRoles(fresh.demo.user.id, fresh.alt.project.id, ['reader'])
    const first = await login(fresh, passwordBody('demo', 'demo-password', 'unscoped'))
    await fresh.clock.advance(HOUR)
    const id = first.headers['X-Subject-Token'] ?? ''
    const response = await login(fresh, tokenBody(id, { project: inDefault('alt') }))
    expect(response.status).toBe(201)
    expect(valueAt(response, 'token')).toMatchObject({
      methods: ['password', 'token'],
      project: fresh.alt.project,
      roles: [{ name: 'reader' }],
      issued_at: '2026-01-01T01:00:00.000000Z',
      expires_at: '2026-01-01T08:00:00.000000Z',
      audit_ids: [expect.any(String), valueAt(first, 'token', 'audit_ids', 0)],
    })
    const third = await login(fresh, tokenBody(response.headers['X-Subject-Token'] ?? ''))
    expect(valueAt(third, 'token', 'audit_ids', 1)).toBe(valueAt(first, 'token', 'audit_ids', 0))
    expect(valueAt(third, 'token', 'methods')).toEqual(['password', 'token'])
  })

  it('refuses garbage, revoked tokens and projects of others', async () => {
    const token = await tokenOf(shared, 'demo')
    expect((await login(shared, tokenBody('garbage'))).status).toBe(401)
    expect((await login(shared, tokenBody(token, { project: inDefault('alt') }))).status).toBe(401)
    await send(shared, 'DELETE', '/v3/auth/tokens', { token, subject: token })
    expect(await login(shared, tokenBody(token))).toMatchObject({ status: 401, body: UNAUTHORIZED })
  })
})

describe('/v3/auth/tokens with X-Subject-Token', () => {
  it('shows the owner the same body as at login', async () => {
    const first = await login(shared, passwordBody('demo', 'demo-password'))
    const token = first.headers['X-Subject-Token'] ?? ''
    const response = await send(shared, 'GET', '/v3/auth/tokens', { token, subject: token })
    expect(response.status).toBe(200)
    expect(response.body).toEqual(first.body)
    expect(response.headers['X-Subject-Token']).toBe(token)
    const short = await send(shared, 'GET', '/v3/auth/tokens', { token, subject: token, query: { nocatalog: '1' } })
    expect(valueAt(short, 'token')).not.toHaveProperty('catalog')
  })

  it('answers HEAD without a body', async () => {
    const token = await tokenOf(shared, 'demo')
    const response = await send(shared, 'HEAD', '/v3/auth/tokens', { token, subject: token })
    expect(response).toMatchObject({ status: 200, body: undefined, headers: { 'X-Subject-Token': token } })
    expect((await send(shared, 'HEAD', '/v3/auth/tokens', { token, subject: 'x' })).status).toBe(404)
  })

  it('shows any token to an admin, and to others only their own', async () => {
    const [demo, alt, admin] = [
      await tokenOf(shared, 'demo'),
      await tokenOf(shared, 'alt'),
      await tokenOf(shared, 'admin'),
    ]
    const show = (token: string, subject: string) => send(shared, 'GET', '/v3/auth/tokens', { token, subject })
    expect(valueAt(await show(admin, demo), 'token', 'user', 'name')).toBe('demo')
    expect((await show(alt, demo)).status).toBe(403)
    expect((await show(demo, admin)).status).toBe(403)
    const another = await tokenOf(shared, 'demo')
    expect((await show(demo, another)).status).toBe(200)
  })

  it('answers 401 for a bad token, 404 for a bad subject', async () => {
    const token = await tokenOf(shared, 'demo')
    for (const method of ['GET', 'DELETE']) {
      expect((await send(shared, method, '/v3/auth/tokens', { subject: token })).status).toBe(401)
      expect((await send(shared, method, '/v3/auth/tokens', { token: 'x', subject: token })).status).toBe(401)
      expect((await send(shared, method, '/v3/auth/tokens', { token })).status).toBe(404)
      const response = await send(shared, method, '/v3/auth/tokens', { token, subject: 'garbage' })
      expect(response.body).toEqual({ error: { code: 404, title: 'Not Found', message: 'Could not find token.' } })
    }
  })

  it('revokes at once', async () => {
    const [token, other] = [await tokenOf(shared, 'demo'), await tokenOf(shared, 'demo')]
    const revoked = await send(shared, 'DELETE', '/v3/auth/tokens', { token, subject: token })
    expect(revoked).toMatchObject({ status: 204, body: undefined })
    expect((await send(shared, 'GET', '/v3/auth/tokens', { token, subject: token })).status).toBe(401)
    expect((await send(shared, 'GET', '/v3/auth/tokens', { token: other, subject: token })).status).toBe(404)
    expect(await shared.identity.verify(token)).toBeUndefined()
    expect(await shared.identity.verify(other)).toBeDefined()
  })

  it('lets only an admin revoke tokens of others', async () => {
    const [demo, alt, admin] = [
      await tokenOf(shared, 'demo'),
      await tokenOf(shared, 'alt'),
      await tokenOf(shared, 'admin'),
    ]
    expect((await send(shared, 'DELETE', '/v3/auth/tokens', { token: alt, subject: demo })).status).toBe(403)
    expect(await shared.identity.verify(demo)).toBeDefined()
    expect((await send(shared, 'DELETE', '/v3/auth/tokens', { token: admin, subject: demo })).status).toBe(204)
    expect(await shared.identity.verify(demo)).toBeUndefined()
  })
})

describe('/v3/auth/catalog', () => {
  it("returns the catalog of the token's project", async () => {
    const response = await send(shared, 'GET', '/v3/auth/catalog', { token: await tokenOf(shared, 'demo') })
    expect(response.status).toBe(200)
    expect(valueAt(response, 'catalog')).toEqual(catalog(shared.demo.project.id))
    expect(valueAt(response, 'links', 'self')).toBe(`${BASE}/identity/v3/auth/catalog`)
  })

  it('requires a token with a project', async () => {
    const token = await tokenOf(shared, 'demo', 'unscoped')
    expect((await send(shared, 'GET', '/v3/auth/catalog', { token })).status).toBe(403)
    expect((await send(shared, 'GET', '/v3/auth/catalog')).status).toBe(401)
  })
})

describe('/v3/auth/projects', () => {
  it('lists the projects of the user for a token without a project', async () => {
    const token = await tokenOf(shared, 'demo', 'unscoped')
    const response = await send(shared, 'GET', '/v3/auth/projects', { token })
    expect(response.status).toBe(200)
    expect(valueAt(response, 'projects')).toMatchObject([
      { ...shared.demo.project, domain_id: 'default', enabled: true },
    ])
    expect(valueAt(response, 'links')).toEqual({
      self: `${BASE}/identity/v3/auth/projects`,
      previous: null,
      next: null,
    })
    expect((await send(shared, 'GET', '/v3/auth/projects')).status).toBe(401)
  })
})
