import { beforeAll, describe, expect, it } from '@jest/globals'
import { ask, at, inDefault, login, passwordBody, tokenBody, tokenOf } from './client.ts'
import { BASE, type Service, START, service } from './service.ts'

const DEFAULT = { id: 'default', name: 'Default' }
const HOUR = 3_600_000
const UNAUTHORIZED = {
  error: { code: 401, title: 'Unauthorized', message: 'The request you have made requires authentication.' },
}

let made: Service
beforeAll(async () => {
  made = await service()
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
    const answer = await ask(made, 'GET', path)
    expect(answer).toMatchObject({ status: 300, headers: { 'Content-Type': 'application/json' } })
    expect(answer.body).toEqual({ versions: { values: [version] } })
  })

  it.each(['/v3', '/v3/'])('shows the version at %s', async path => {
    const answer = await ask(made, 'GET', path)
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ version })
    expect(await ask(made, 'HEAD', path)).toMatchObject({ status: 200, body: undefined })
  })
})

describe('POST /v3/auth/tokens by password', () => {
  it('answers a token with project, roles and catalog, as Keystone does', async () => {
    const answer = await login(made, passwordBody('demo', 'demo-password', { project: inDefault('demo') }))
    expect(answer.status).toBe(201)
    expect(answer.headers).toMatchObject({ Vary: 'X-Auth-Token', 'Content-Type': 'application/json' })
    expect(answer.body).toEqual({
      token: {
        methods: ['password'],
        user: { ...made.demo.user, domain: DEFAULT, password_expires_at: null },
        project: { ...made.demo.project, domain: DEFAULT },
        is_domain: false,
        roles: [
          { id: 'member', name: 'member' },
          { id: 'reader', name: 'reader' },
        ],
        audit_ids: [expect.stringMatching(/^[\w-]{22}$/)],
        issued_at: '2026-01-01T00:00:00.000000Z',
        expires_at: '2026-01-01T08:00:00.000000Z',
        catalog: catalog(made.demo.project.id),
      },
    })
    expect(await made.identity.verify(answer.headers['X-Subject-Token'] ?? '')).toEqual({
      user: made.demo.user,
      project: made.demo.project,
      roles: ['member', 'reader'],
      expires: START + 8 * HOUR,
    })
  })

  it('leaves the catalog out when asked to', async () => {
    const answer = await login(made, passwordBody('demo', 'demo-password'), { nocatalog: '' })
    expect(answer.status).toBe(201)
    expect(at(answer, 'token')).not.toHaveProperty('catalog')
    expect(at(answer, 'token', 'roles')).toHaveLength(2)
  })

  it.each<[string, () => object]>([
    ['by id', () => ({ id: made.demo.user.id })],
    ['by name and domain name', () => inDefault('demo')],
    ['by name and domain id', () => ({ name: 'demo', domain: { id: 'default' } })],
    ['by name and domain in another case', () => ({ name: 'demo', domain: { name: 'default' } })],
    ['by name alone', () => ({ name: 'demo' })],
  ])('finds the user %s', async (_, user) => {
    const password = { user: { ...user(), password: 'demo-password' } }
    const answer = await login(made, { auth: { identity: { methods: ['password'], password } } })
    expect(answer.status).toBe(201)
    expect(at(answer, 'token', 'user', 'name')).toBe('demo')
  })

  it.each<[string, () => unknown, string | undefined]>([
    ['the project by id', () => ({ project: { id: made.demo.project.id } }), 'demo'],
    ['the project by name and domain name', () => ({ project: inDefault('demo') }), 'demo'],
    ['the project by name and domain id', () => ({ project: { name: 'demo', domain: { id: 'default' } } }), 'demo'],
    ['the default project', () => undefined, 'demo'],
    ['none', () => 'unscoped', undefined],
    ['none, as an object', () => ({ unscoped: {} }), undefined],
  ])('takes as scope %s', async (_, scope, name) => {
    const answer = await login(made, passwordBody('demo', 'demo-password', scope()))
    expect(answer.status).toBe(201)
    expect(at(answer, 'token', 'project', 'name')).toBe(name)
  })

  it('gives a token without project, roles and catalog when there is none to give', async () => {
    await made.identity.accounts.createUser({ name: 'homeless', password: 'homeless-password' })
    const answer = await login(made, passwordBody('homeless', 'homeless-password'))
    expect(answer.status).toBe(201)
    const keys = Object.keys(Object(at(answer, 'token'))).sort()
    expect(keys).toEqual(['audit_ids', 'expires_at', 'issued_at', 'methods', 'user'])
    expect(await made.identity.verify(answer.headers['X-Subject-Token'] ?? '')).toBeUndefined()
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
    ["another's project by id", () => passwordBody('demo', 'demo-password', { project: { id: made.alt.project.id } })],
    [
      'a project of another domain',
      () => passwordBody('demo', 'demo-password', { project: { name: 'demo', domain: { id: 'other' } } }),
    ],
    ['a domain as scope', () => passwordBody('demo', 'demo-password', { domain: { id: 'default' } })],
    ['the system as scope', () => passwordBody('demo', 'demo-password', { system: { all: true } })],
    ['another text as scope', () => passwordBody('demo', 'demo-password', 'everything')],
    ['an unknown method', () => ({ auth: { identity: { methods: ['totp'], totp: {} } } })],
  ])('refuses %s in the same words', async (_, body) => {
    const answer = await login(made, body())
    expect(answer.status).toBe(401)
    expect(answer.body).toEqual(UNAUTHORIZED)
    expect(answer.headers['WWW-Authenticate']).toBe(`Keystone uri="${BASE}/identity/v3"`)
    expect(answer.headers).not.toHaveProperty('X-Subject-Token')
  })

  const domainBody = (user: object) => ({
    auth: { identity: { methods: ['password'], password: { user: { ...user, password: 'demo-password' } } } },
  })

  it('refuses a disabled user', async () => {
    const user = await made.identity.accounts.createUser({ name: 'gone', password: 'gone-password' })
    await made.identity.accounts.setEnabled(user.id, false)
    expect(await login(made, passwordBody('gone', 'gone-password'))).toMatchObject({ status: 401, body: UNAUTHORIZED })
  })

  it('bounds guessing: after ten failures 401, the right password too, until the minute ends', async () => {
    const own = await service()
    for (let n = 0; n < 10; n++) expect((await login(own, passwordBody('demo', `no ${n}`))).status).toBe(401)
    const refused = await login(own, passwordBody('demo', 'demo-password'))
    expect(refused).toMatchObject({ status: 401, body: UNAUTHORIZED })
    expect((await login(own, passwordBody('alt', 'alt-password'))).status).toBe(201)
    await own.clock.advance(60_000)
    expect((await login(own, passwordBody('demo', 'demo-password'))).status).toBe(201)
  })

  it('writes no password to the log', async () => {
    await login(made, passwordBody('demo', 'hunter2-wrong'))
    expect(made.logged()).toContain('login refused')
    expect(made.logged()).not.toMatch(/hunter2|demo-password/)
  })
})

describe('POST /v3/auth/tokens by token', () => {
  it('changes the project, keeps the end and names the chain', async () => {
    const own = await service()
    await own.identity.accounts.setRoles(own.demo.user.id, own.alt.project.id, ['reader'])
    const first = await login(own, passwordBody('demo', 'demo-password', 'unscoped'))
    await own.clock.advance(HOUR)
    const id = first.headers['X-Subject-Token'] ?? ''
    const answer = await login(own, tokenBody(id, { project: inDefault('alt') }))
    expect(answer.status).toBe(201)
    expect(at(answer, 'token')).toMatchObject({
      methods: ['password', 'token'],
      project: own.alt.project,
      roles: [{ name: 'reader' }],
      issued_at: '2026-01-01T01:00:00.000000Z',
      expires_at: '2026-01-01T08:00:00.000000Z',
      audit_ids: [expect.any(String), at(first, 'token', 'audit_ids', 0)],
    })
    const third = await login(own, tokenBody(answer.headers['X-Subject-Token'] ?? ''))
    expect(at(third, 'token', 'audit_ids', 1)).toBe(at(first, 'token', 'audit_ids', 0))
    expect(at(third, 'token', 'methods')).toEqual(['password', 'token'])
  })

  it("refuses garbage, revoked tokens and another's project", async () => {
    const token = await tokenOf(made, 'demo')
    expect((await login(made, tokenBody('garbage'))).status).toBe(401)
    expect((await login(made, tokenBody(token, { project: inDefault('alt') }))).status).toBe(401)
    await ask(made, 'DELETE', '/v3/auth/tokens', { token, subject: token })
    expect(await login(made, tokenBody(token))).toMatchObject({ status: 401, body: UNAUTHORIZED })
  })
})

describe('/v3/auth/tokens with X-Subject-Token', () => {
  it('shows to the owner what was answered at first', async () => {
    const first = await login(made, passwordBody('demo', 'demo-password'))
    const token = first.headers['X-Subject-Token'] ?? ''
    const answer = await ask(made, 'GET', '/v3/auth/tokens', { token, subject: token })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual(first.body)
    expect(answer.headers['X-Subject-Token']).toBe(token)
    const short = await ask(made, 'GET', '/v3/auth/tokens', { token, subject: token, query: { nocatalog: '1' } })
    expect(at(short, 'token')).not.toHaveProperty('catalog')
  })

  it('answers HEAD without a body', async () => {
    const token = await tokenOf(made, 'demo')
    const answer = await ask(made, 'HEAD', '/v3/auth/tokens', { token, subject: token })
    expect(answer).toMatchObject({ status: 200, body: undefined, headers: { 'X-Subject-Token': token } })
    expect((await ask(made, 'HEAD', '/v3/auth/tokens', { token, subject: 'x' })).status).toBe(404)
  })

  it('lets an admin look at any token, others at their own', async () => {
    const [demo, alt, admin] = [await tokenOf(made, 'demo'), await tokenOf(made, 'alt'), await tokenOf(made, 'admin')]
    const show = (token: string, subject: string) => ask(made, 'GET', '/v3/auth/tokens', { token, subject })
    expect(at(await show(admin, demo), 'token', 'user', 'name')).toBe('demo')
    expect((await show(alt, demo)).status).toBe(403)
    expect((await show(demo, admin)).status).toBe(403)
    const another = await tokenOf(made, 'demo')
    expect((await show(demo, another)).status).toBe(200)
  })

  it('answers 401 for a bad token, 404 for a bad subject', async () => {
    const token = await tokenOf(made, 'demo')
    for (const method of ['GET', 'DELETE']) {
      expect((await ask(made, method, '/v3/auth/tokens', { subject: token })).status).toBe(401)
      expect((await ask(made, method, '/v3/auth/tokens', { token: 'x', subject: token })).status).toBe(401)
      expect((await ask(made, method, '/v3/auth/tokens', { token })).status).toBe(404)
      const answer = await ask(made, method, '/v3/auth/tokens', { token, subject: 'garbage' })
      expect(answer.body).toEqual({ error: { code: 404, title: 'Not Found', message: 'Could not find token.' } })
    }
  })

  it('revokes at once', async () => {
    const [token, other] = [await tokenOf(made, 'demo'), await tokenOf(made, 'demo')]
    const gone = await ask(made, 'DELETE', '/v3/auth/tokens', { token, subject: token })
    expect(gone).toMatchObject({ status: 204, body: undefined })
    expect((await ask(made, 'GET', '/v3/auth/tokens', { token, subject: token })).status).toBe(401)
    expect((await ask(made, 'GET', '/v3/auth/tokens', { token: other, subject: token })).status).toBe(404)
    expect(await made.identity.verify(token)).toBeUndefined()
    expect(await made.identity.verify(other)).toBeDefined()
  })

  it("lets nobody but an admin revoke another's", async () => {
    const [demo, alt, admin] = [await tokenOf(made, 'demo'), await tokenOf(made, 'alt'), await tokenOf(made, 'admin')]
    expect((await ask(made, 'DELETE', '/v3/auth/tokens', { token: alt, subject: demo })).status).toBe(403)
    expect(await made.identity.verify(demo)).toBeDefined()
    expect((await ask(made, 'DELETE', '/v3/auth/tokens', { token: admin, subject: demo })).status).toBe(204)
    expect(await made.identity.verify(demo)).toBeUndefined()
  })
})

describe('/v3/auth/catalog', () => {
  it('is that of the token', async () => {
    const answer = await ask(made, 'GET', '/v3/auth/catalog', { token: await tokenOf(made, 'demo') })
    expect(answer.status).toBe(200)
    expect(at(answer, 'catalog')).toEqual(catalog(made.demo.project.id))
    expect(at(answer, 'links', 'self')).toBe(`${BASE}/identity/v3/auth/catalog`)
  })

  it('needs a token with a project', async () => {
    const token = await tokenOf(made, 'demo', 'unscoped')
    expect((await ask(made, 'GET', '/v3/auth/catalog', { token })).status).toBe(403)
    expect((await ask(made, 'GET', '/v3/auth/catalog')).status).toBe(401)
  })
})

describe('/v3/auth/projects', () => {
  it('lists what the user may choose, without a project already chosen', async () => {
    const token = await tokenOf(made, 'demo', 'unscoped')
    const answer = await ask(made, 'GET', '/v3/auth/projects', { token })
    expect(answer.status).toBe(200)
    expect(at(answer, 'projects')).toMatchObject([{ ...made.demo.project, domain_id: 'default', enabled: true }])
    expect(at(answer, 'links')).toEqual({ self: `${BASE}/identity/v3/auth/projects`, previous: null, next: null })
    expect((await ask(made, 'GET', '/v3/auth/projects')).status).toBe(401)
  })
})
