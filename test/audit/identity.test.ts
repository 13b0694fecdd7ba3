import { beforeEach, describe, expect, it } from '@jest/globals'
import { send, tokenOf, valueAt } from '../keystone/client.ts'
import { claimsOf, type Service, START, service } from '../keystone/service.ts'

let fresh: Service
let token: string
let credentials: string
beforeEach(async () => {
  fresh = await service()
  token = (await fresh.identity.tokens.issue(claimsOf(fresh.demo))).token
  credentials = `/v3/users/${fresh.demo.user.id}/application_credentials`
})

const records = async () => (await fresh.store.all('audit', { limit: 100 })).items
const only = async () => {
  const all = await records()
  expect(all).toHaveLength(1)
  return all[0]
}
const password = (original_password: string) =>
  send(fresh, 'POST', `/v3/users/${fresh.demo.user.id}/password`, {
    token,
    body: { user: { password: 'canary-new', original_password } },
  })
const create = (name = 'ci') =>
  send(fresh, 'POST', credentials, { token, body: { application_credential: { name, secret: 'canary-secret' } } })

describe('a change by /identity leaves an audit record', () => {
  it('of a password, without the password', async () => {
    expect((await password('demo-password')).status).toBe(204)
    const record = await only()
    expect(record?.key.project).toBe(fresh.demo.project.id)
    expect(record?.expires).toBe(START + 90 * 86_400_000)
    expect(record?.body).toMatchObject({
      at: START,
      user: fresh.demo.user.id,
      project: fresh.demo.project.id,
      admin: false,
      method: 'POST',
      route: '/identity/v3/users/{userId}/password',
      targets: { userId: fresh.demo.user.id },
      fields: ['user.password', 'user.original_password'],
      status: 204,
      remote: '192.0.2.1',
    })
    expect(JSON.stringify(record)).not.toMatch(/canary|demo-password/)
  })

  it('of an application credential that is created or deleted', async () => {
    const id = String(valueAt(await create(), 'application_credential', 'id'))
    expect((await only())?.body).toMatchObject({
      route: '/identity/v3/users/{userId}/application_credentials',
      targets: { userId: fresh.demo.user.id, credentialId: id },
      fields: ['application_credential.name', 'application_credential.secret'],
      status: 201,
    })
    expect((await send(fresh, 'DELETE', `${credentials}/${id}`, { token })).status).toBe(204)
    const [deleted] = (await records()).filter(({ body }) => Object(body).method === 'DELETE')
    expect(deleted?.body).toMatchObject({ targets: { userId: fresh.demo.user.id, credentialId: id }, status: 204 })
    expect(JSON.stringify(await records())).not.toContain('canary')
  })

  it('of a token that is revoked', async () => {
    expect((await send(fresh, 'DELETE', '/v3/auth/tokens', { token, subject: token })).status).toBe(204)
    expect((await only())?.body).toMatchObject({ method: 'DELETE', route: '/identity/v3/auth/tokens', status: 204 })
    expect(JSON.stringify(await records())).not.toContain(token)
  })

  it('in one transaction with the change', async () => {
    const { transact } = fresh.store
    fresh.store.transact = changes =>
      changes.some(({ key }) => key.id.startsWith('audit#')) ? Promise.reject(new Error('down')) : transact(changes)
    expect((await password('demo-password')).status).toBe(500)
    expect((await create()).status).toBe(500)
    fresh.store.transact = transact
    await expect(tokenOf(fresh, 'demo')).resolves.toBeDefined()
    expect(valueAt(await send(fresh, 'GET', credentials, { token }), 'application_credentials')).toEqual([])
  })

  it('with the id of the request, which also stands in the log', async () => {
    await create()
    const { requestId } = Object((await only())?.body)
    expect(requestId).toMatch(/^req-/)
    expect(fresh.logged()).toContain(requestId)
  })

  it('under the user’s own project where the token has none', async () => {
    token = (await fresh.identity.tokens.issue({ ...claimsOf(fresh.demo, []), project: undefined as never })).token
    expect((await password('demo-password')).status).toBe(204)
    expect((await only())?.key.project).toBe(fresh.demo.project.id)
  })
})

describe('what /identity refuses', () => {
  it('is recorded with its status, if the caller is known', async () => {
    expect((await password('wrong')).status).toBe(401)
    expect((await only())?.body).toMatchObject({ status: 401, user: fresh.demo.user.id })
    const path = `/v3/users/${fresh.admin.user.id}/password`
    expect((await send(fresh, 'POST', path, { token, body: {} })).status).toBe(403)
    expect((await send(fresh, 'POST', path, { token: 'x', body: {} })).status).toBe(401)
    expect(await records()).toHaveLength(2)
    expect(JSON.stringify(await records())).not.toMatch(/canary|wrong/)
  })

  it('is recorded 60 times a minute and project at most', async () => {
    const path = `/v3/users/${fresh.admin.user.id}/password`
    for (let n = 0; n < 80; n++) await send(fresh, 'POST', path, { token, body: {} })
    expect(await records()).toHaveLength(60)
  })

  it('leaves no record for a question, nor for a login', async () => {
    await send(fresh, 'GET', credentials, { token })
    await send(fresh, 'GET', '/v3/users/none', { token })
    await tokenOf(fresh, 'demo')
    await tokenOf(fresh, 'demo', 'unscoped')
    await send(fresh, 'POST', '/v3/auth/tokens', { token, body: {} })
    expect(await records()).toEqual([])
  })
})
