import { beforeAll, describe, expect, it } from '@jest/globals'
import { login, passwordBody, send, tokenOf, valueAt } from './client.ts'
import { BASE, type Service, service } from './service.ts'

let shared: Service
let [demo, admin] = ['', '']
beforeAll(async () => {
  shared = await service()
  demo = await tokenOf(shared, 'demo')
  admin = await tokenOf(shared, 'admin')
})

describe('/v3/projects', () => {
  const names = async (token: string, query = {}) => {
    const response = await send(shared, 'GET', '/v3/projects', { token, query })
    expect(response.status).toBe(200)
    expect(valueAt(response, 'links')).toEqual({ self: `${BASE}/identity/v3/projects`, previous: null, next: null })
    const projects = valueAt(response, 'projects')
    return Array.isArray(projects) ? projects.map(each => String(Reflect.get(each, 'name'))).sort() : undefined
  }

  it('lists the projects of the caller, and all for an admin', async () => {
    expect(await names(demo)).toEqual(['demo'])
    expect(await names(admin)).toEqual(['admin', 'alt', 'demo'])
  })

  it('filters by name and domain', async () => {
    expect(await names(demo, { name: 'demo' })).toEqual(['demo'])
    expect(await names(demo, { name: 'alt' })).toEqual([])
    expect(await names(admin, { name: 'alt' })).toEqual(['alt'])
    expect(await names(admin, { name: 'nowhere' })).toEqual([])
    expect(await names(admin, { domain_id: 'default' })).toEqual(['admin', 'alt', 'demo'])
    expect(await names(admin, { domain_id: 'other' })).toEqual([])
  })

  it('shows a project', async () => {
    const response = await send(shared, 'GET', `/v3/projects/${shared.demo.project.id}`, { token: demo })
    expect(response.status).toBe(200)
    expect(response.body).toEqual({
      project: {
        ...shared.demo.project,
        domain_id: 'default',
        parent_id: 'default',
        enabled: true,
        is_domain: false,
        description: '',
        tags: [],
        options: {},
        links: { self: `${BASE}/identity/v3/projects/${shared.demo.project.id}` },
      },
    })
    expect((await send(shared, 'GET', `/v3/projects/${shared.demo.project.id}`, { token: admin })).status).toBe(200)
  })

  it('answers for a missing project as for a project of others', async () => {
    const error = { code: 404, title: 'Not Found', message: 'Could not find project.' }
    for (const id of ['demo', shared.alt.project.id, '%00', '%2e%2e%2f', 'a%2Fb', 'x'.repeat(3000)]) {
      expect(await send(shared, 'GET', `/v3/projects/${id}`, { token: demo })).toMatchObject({
        status: 404,
        body: { error },
      })
    }
  })

  it('needs a token', async () => {
    expect((await send(shared, 'GET', '/v3/projects')).status).toBe(401)
    expect((await send(shared, 'GET', `/v3/projects/${shared.demo.project.id}`)).status).toBe(401)
  })
})

describe('/v3/users/{id}', () => {
  it('shows the caller, and any user to an admin', async () => {
    const path = `/v3/users/${shared.demo.user.id}`
    const response = await send(shared, 'GET', path, { token: demo })
    expect(response.status).toBe(200)
    expect(response.body).toEqual({
      user: {
        ...shared.demo.user,
        domain_id: 'default',
        enabled: true,
        default_project_id: shared.demo.project.id,
        password_expires_at: null,
        options: {},
        links: { self: `${BASE}/identity${path}` },
      },
    })
    expect((await send(shared, 'GET', path, { token: admin })).body).toEqual(response.body)
  })

  it('hides other users, whether they exist or not', async () => {
    expect((await send(shared, 'GET', `/v3/users/${shared.alt.user.id}`, { token: demo })).status).toBe(403)
    expect((await send(shared, 'GET', '/v3/users/nobody', { token: demo })).status).toBe(403)
    expect((await send(shared, 'GET', '/v3/users/nobody', { token: admin })).status).toBe(404)
    expect((await send(shared, 'GET', `/v3/users/${shared.demo.user.id}`)).status).toBe(401)
  })
})

describe('/v3/users/{id}/password', () => {
  const change = (target: Service, token: string, original: string, user = target.demo.user.id) =>
    send(target, 'POST', `/v3/users/${user}/password`, {
      token,
      body: { user: { password: 'the new one', original_password: original } },
    })

  it('changes the password and ends all tokens', async () => {
    const fresh = await service()
    const token = await tokenOf(fresh, 'demo')
    const response = await change(fresh, token, 'demo-password')
    expect(response).toMatchObject({ status: 204, body: undefined })
    expect(await fresh.identity.verify(token)).toBeUndefined()
    expect((await login(fresh, passwordBody('demo', 'demo-password'))).status).toBe(401)
    expect((await login(fresh, passwordBody('demo', 'the new one'))).status).toBe(201)
    expect(fresh.logged()).toContain('password changed')
    expect(fresh.logged()).not.toContain('the new one')
  })

  it('requires the current password and limits guesses', async () => {
    const fresh = await service()
    const token = await tokenOf(fresh, 'demo')
    for (let n = 0; n < 10; n++) expect((await change(fresh, token, `guess ${n}`)).status).toBe(401)
    expect((await change(fresh, token, 'demo-password')).status).toBe(401)
    await fresh.clock.advance(60_000)
    expect((await login(fresh, passwordBody('demo', 'demo-password'))).status).toBe(201)
  })

  it('refuses other users, admins too', async () => {
    expect((await change(shared, admin, 'admin-password')).status).toBe(403)
    expect((await change(shared, '', 'demo-password')).status).toBe(401)
  })

  it('refuses an empty password', async () => {
    const body = { user: { password: '', original_password: 'demo-password' } }
    const path = `/v3/users/${shared.demo.user.id}/password`
    expect((await send(shared, 'POST', path, { token: demo, body })).status).toBe(400)
  })
})
