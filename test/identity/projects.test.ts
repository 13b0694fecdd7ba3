import { beforeAll, describe, expect, it } from '@jest/globals'
import { ask, at, login, passwordBody, tokenOf } from './client.ts'
import { BASE, type Service, service } from './service.ts'

let made: Service
let [demo, admin] = ['', '']
beforeAll(async () => {
  made = await service()
  demo = await tokenOf(made, 'demo')
  admin = await tokenOf(made, 'admin')
})

describe('/v3/projects', () => {
  const names = async (token: string, query = {}) => {
    const answer = await ask(made, 'GET', '/v3/projects', { token, query })
    expect(answer.status).toBe(200)
    expect(at(answer, 'links')).toEqual({ self: `${BASE}/identity/v3/projects`, previous: null, next: null })
    const projects = at(answer, 'projects')
    return Array.isArray(projects) ? projects.map(each => String(Reflect.get(each, 'name'))).sort() : undefined
  }

  it("lists one's own, for an admin all", async () => {
    expect(await names(demo)).toEqual(['demo'])
    expect(await names(admin)).toEqual(['admin', 'alt', 'demo'])
  })

  it('narrows by name and domain', async () => {
    expect(await names(demo, { name: 'demo' })).toEqual(['demo'])
    expect(await names(demo, { name: 'alt' })).toEqual([])
    expect(await names(admin, { name: 'alt' })).toEqual(['alt'])
    expect(await names(admin, { name: 'nowhere' })).toEqual([])
    expect(await names(admin, { domain_id: 'default' })).toEqual(['admin', 'alt', 'demo'])
    expect(await names(admin, { domain_id: 'other' })).toEqual([])
  })

  it('shows one', async () => {
    const answer = await ask(made, 'GET', `/v3/projects/${made.demo.project.id}`, { token: demo })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({
      project: {
        ...made.demo.project,
        domain_id: 'default',
        parent_id: 'default',
        enabled: true,
        is_domain: false,
        description: '',
        tags: [],
        options: {},
        links: { self: `${BASE}/identity/v3/projects/${made.demo.project.id}` },
      },
    })
    expect((await ask(made, 'GET', `/v3/projects/${made.demo.project.id}`, { token: admin })).status).toBe(200)
  })

  it('hides what is not there and what is not yours in the same words', async () => {
    const error = { code: 404, title: 'Not Found', message: 'Could not find project.' }
    for (const id of ['demo', made.alt.project.id, '%00', '%2e%2e%2f', 'a%2Fb', 'x'.repeat(3000)]) {
      expect(await ask(made, 'GET', `/v3/projects/${id}`, { token: demo })).toMatchObject({
        status: 404,
        body: { error },
      })
    }
  })

  it('needs a token', async () => {
    expect((await ask(made, 'GET', '/v3/projects')).status).toBe(401)
    expect((await ask(made, 'GET', `/v3/projects/${made.demo.project.id}`)).status).toBe(401)
  })
})

describe('/v3/users/{id}', () => {
  it('shows oneself, and anybody to an admin', async () => {
    const path = `/v3/users/${made.demo.user.id}`
    const answer = await ask(made, 'GET', path, { token: demo })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({
      user: {
        ...made.demo.user,
        domain_id: 'default',
        enabled: true,
        default_project_id: made.demo.project.id,
        password_expires_at: null,
        options: {},
        links: { self: `${BASE}/identity${path}` },
      },
    })
    expect((await ask(made, 'GET', path, { token: admin })).body).toEqual(answer.body)
  })

  it('hides others, known or not', async () => {
    expect((await ask(made, 'GET', `/v3/users/${made.alt.user.id}`, { token: demo })).status).toBe(403)
    expect((await ask(made, 'GET', '/v3/users/nobody', { token: demo })).status).toBe(403)
    expect((await ask(made, 'GET', '/v3/users/nobody', { token: admin })).status).toBe(404)
    expect((await ask(made, 'GET', `/v3/users/${made.demo.user.id}`)).status).toBe(401)
  })
})

describe('/v3/users/{id}/password', () => {
  const change = (own: Service, token: string, original: string, user = own.demo.user.id) =>
    ask(own, 'POST', `/v3/users/${user}/password`, {
      token,
      body: { user: { password: 'the new one', original_password: original } },
    })

  it('changes the password and ends all tokens', async () => {
    const own = await service()
    const token = await tokenOf(own, 'demo')
    const answer = await change(own, token, 'demo-password')
    expect(answer).toMatchObject({ status: 204, body: undefined })
    expect(await own.identity.verify(token)).toBeUndefined()
    expect((await login(own, passwordBody('demo', 'demo-password'))).status).toBe(401)
    expect((await login(own, passwordBody('demo', 'the new one'))).status).toBe(201)
    expect(own.logged()).toContain('password changed')
    expect(own.logged()).not.toContain('the new one')
  })

  it('needs the password that was, with guesses bounded', async () => {
    const own = await service()
    const token = await tokenOf(own, 'demo')
    for (let n = 0; n < 10; n++) expect((await change(own, token, `guess ${n}`)).status).toBe(401)
    expect((await change(own, token, 'demo-password')).status).toBe(401)
    await own.clock.advance(60_000)
    expect((await login(own, passwordBody('demo', 'demo-password'))).status).toBe(201)
  })

  it("is nobody else's, not an admin's either", async () => {
    expect((await change(made, admin, 'admin-password')).status).toBe(403)
    expect((await change(made, '', 'demo-password')).status).toBe(401)
  })

  it('refuses an empty password', async () => {
    const body = { user: { password: '', original_password: 'demo-password' } }
    const path = `/v3/users/${made.demo.user.id}/password`
    expect((await ask(made, 'POST', path, { token: demo, body })).status).toBe(400)
  })
})
