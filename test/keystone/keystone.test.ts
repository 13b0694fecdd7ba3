import { beforeAll, describe, expect, it } from '@jest/globals'
import { identityAudit } from '../../lib/audit/identity.ts'
import { keystone } from '../../lib/keystone/keystone.ts'
import { TooManyLogins } from '../../lib/ports/accounts.ts'
import { silentLog } from '../kit/random.ts'
import { login, passwordBody, send, valueAt } from './client.ts'
import { type Service, service } from './service.ts'

let shared: Service
beforeAll(async () => {
  shared = await service()
})

describe('an unknown route', () => {
  it.each([
    ['GET', '/v2.0'],
    ['GET', '/v3/nothing'],
    ['GET', '/v3/auth'],
    ['GET', '/v3/auth/tokens/x'],
    ['GET', '/v3//auth/tokens'],
    ['GET', '/v3/projects//'],
    ['GET', '/v3/users/'],
    ['GET', '/v3/%zz'],
    ['GET', '/v3/auth%2Ftokens'],
    ['GET', '/../v3'],
    ['PUT', '/v3/auth/tokens'],
    ['PATCH', '/v3/users/x'],
    ['POST', ''],
    ['DELETE', '/v3'],
    ['HEAD', '/v3/users/x/password'],
    ['constructor', '/v3'],
  ])('answers 404 to %s %s', async (method, path) => {
    const response = await send(shared, method, path)
    expect(response.status).toBe(404)
    if (method !== 'HEAD') expect(valueAt(response, 'error')).toMatchObject({ code: 404, title: 'Not Found' })
  })
})

describe('a malformed request', () => {
  const method = (name: string, value: unknown) => ({ auth: { identity: { methods: [name], [name]: value } } })

  it.each<[string, unknown]>([
    ['no body', undefined],
    ['an empty body', ''],
    ['a body that is not JSON', '{"auth":'],
    ['XML', '<auth/>'],
    ['null', 'null'],
    ['a string', '"auth"'],
    ['a list', []],
    ['an empty object', {}],
    ['auth of a wrong type', { auth: 'x' }],
    ['no identity', { auth: {} }],
    ['no methods', { auth: { identity: { password: {} } } }],
    ['methods of a wrong type', { auth: { identity: { methods: 'password' } } }],
    ['an empty list of methods', { auth: { identity: { methods: [] } } }],
    ['two methods', { auth: { identity: { methods: ['password', 'token'] } } }],
    ['a method without its object', { auth: { identity: { methods: ['password'] } } }],
    ['no user', method('password', {})],
    ['no password', method('password', { user: { name: 'demo' } })],
    ['a user without id and name', method('password', { user: { password: 'x' } })],
    ['a password of a wrong type', method('password', { user: { name: 'demo', password: { $ne: '' } } })],
    ['a null password', method('password', { user: { name: 'demo', password: null } })],
    ['a name of a wrong type', method('password', { user: { name: ['demo'], password: 'x' } })],
    ['a domain of a wrong type', method('password', { user: { name: 'demo', domain: 'Default', password: 'x' } })],
    ['a token of a wrong type', method('token', { id: 5 })],
    ['a secret of a wrong type', method('application_credential', { id: 'x', secret: 1 })],
    ['a scope of a wrong type', passwordBody('demo', 'demo-password', 5)],
    ['a project of a wrong type', passwordBody('demo', 'demo-password', { project: 'demo' })],
    ['a project without a name', passwordBody('demo', 'demo-password', { project: {} })],
    ['too deeply nested lists', '['.repeat(30_000) + ']'.repeat(30_000)],
    ['too deeply nested objects', `{"auth":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`],
    ['a prototype', '{"__proto__":{"auth":{}}}'],
  ])('is refused with 400: %s', async (_, body) => {
    const response = await login(shared, body)
    expect(response.status).toBe(400)
    expect(valueAt(response, 'error')).toEqual({ code: 400, title: 'Bad Request', message: expect.any(String) })
  })

  it('is answered with the field that is wrong, without its value', async () => {
    const body = { auth: { identity: { methods: ['password'], password: { user: { name: 7, password: 'hunter2' } } } } }
    const response = await login(shared, body)
    expect(valueAt(response, 'error', 'message')).toMatch(
      /^Invalid input for field 'auth\/identity\/password\/user\/name': /,
    )
    expect(JSON.stringify(response.body)).not.toContain('hunter2')
  })

  it('is refused with 413 on every route if it is too large', async () => {
    const response = await login(shared, passwordBody('demo', 'x'.repeat(64 * 1024)))
    expect(response.status).toBe(413)
    expect(valueAt(response, 'error', 'title')).toBe('Request Entity Too Large')
    expect((await send(shared, 'GET', '/v3', { body: 'x'.repeat(65_537) })).status).toBe(413)
    expect((await login(shared, '€'.repeat(22_000))).status).toBe(413)
    expect((await login(shared, passwordBody('demo', 'x'.repeat(60_000)))).status).toBe(401)
  })
})

describe('an internal failure', () => {
  const broken = async (error: Error) => {
    const fresh = await service()
    const byPassword = () => Promise.reject(error)
    const identity = { ...fresh.identity, logins: { ...fresh.identity.logins, byPassword } }
    const audit = identityAudit({ ...fresh, log: silentLog })
    const lines: string[] = []
    const write = (fields: object, message: string) => lines.push(`${message} ${Object.values(fields).join(' ')}`)
    const log = { debug: write, info: write, warn: write, error: write, child: () => log }
    const response = await login({ ...fresh, keystone: keystone({ identity, clock: fresh.clock, log, audit }) }, secret)
    return { response, log: lines.join('\n') }
  }
  const secret = passwordBody('demo', 'hunter2')

  it('is answered with 500 without details, and logged', async () => {
    const { response, log } = await broken(new Error('table gone'))
    expect(response.status).toBe(500)
    expect(JSON.stringify(response.body)).not.toMatch(/table gone|hunter2/)
    expect(log).toContain('table gone')
    expect(log).not.toContain('hunter2')
  })

  it('is answered with 503 if there are too many logins', async () => {
    const { response } = await broken(new TooManyLogins('busy'))
    expect(response).toMatchObject({ status: 503, headers: { 'Retry-After': '1' } })
  })
})

describe('logins', () => {
  it('on a full disk go on, and change nothing else', async () => {
    const fresh = await service()
    fresh.store.space = () => ({ freeBytes: 0, isShort: true })
    const loggedIn = await login(fresh, passwordBody('demo', 'demo-password'))
    expect(loggedIn.status).toBe(201)
    const token = loggedIn.headers['X-Subject-Token'] ?? ''
    const path = `/v3/users/${fresh.demo.user.id}`
    for (const what of ['password', 'application_credentials']) {
      const refused = await send(fresh, 'POST', `${path}/${what}`, { token, body: {} })
      expect([refused.status, valueAt(refused, 'error', 'title')]).toEqual([507, 'Insufficient Storage'])
    }
    expect((await send(fresh, 'DELETE', '/v3/auth/tokens', { token, subject: token })).status).toBe(204)
  })
})
