import { beforeAll, describe, expect, it } from '@jest/globals'
import { Busy } from '../../lib/identity/account.ts'
import { keystone } from '../../lib/identity/keystone.ts'
import { instant, timestamp } from '../../lib/identity/timestamp.ts'
import { ask, at, login, passwordBody } from './client.ts'
import { type Service, START, service } from './service.ts'

let made: Service
beforeAll(async () => {
  made = await service()
})

describe('unknown routes', () => {
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
  ])('%s %s: 404', async (method, path) => {
    const answer = await ask(made, method, path)
    expect(answer.status).toBe(404)
    if (method !== 'HEAD') expect(at(answer, 'error')).toMatchObject({ code: 404, title: 'Not Found' })
  })
})

describe('malformed requests', () => {
  const method = (name: string, value: unknown) => ({ auth: { identity: { methods: [name], [name]: value } } })

  it.each<[string, unknown]>([
    ['no body', undefined],
    ['an empty body', ''],
    ['no JSON', '{"auth":'],
    ['XML', '<auth/>'],
    ['null', 'null'],
    ['a text', '"auth"'],
    ['a list', []],
    ['an empty object', {}],
    ['auth of a wrong type', { auth: 'x' }],
    ['no identity', { auth: {} }],
    ['no methods', { auth: { identity: { password: {} } } }],
    ['methods of a wrong type', { auth: { identity: { methods: 'password' } } }],
    ['an empty list of methods', { auth: { identity: { methods: [] } } }],
    ['two methods', { auth: { identity: { methods: ['password', 'token'] } } }],
    ['a method without its part', { auth: { identity: { methods: ['password'] } } }],
    ['no user', method('password', {})],
    ['no password', method('password', { user: { name: 'demo' } })],
    ['nobody', method('password', { user: { password: 'x' } })],
    ['a password of a wrong type', method('password', { user: { name: 'demo', password: { $ne: '' } } })],
    ['a null password', method('password', { user: { name: 'demo', password: null } })],
    ['a name of a wrong type', method('password', { user: { name: ['demo'], password: 'x' } })],
    ['a domain of a wrong type', method('password', { user: { name: 'demo', domain: 'Default', password: 'x' } })],
    ['a token of a wrong type', method('token', { id: 5 })],
    ['a secret of a wrong type', method('application_credential', { id: 'x', secret: 1 })],
    ['a scope of a wrong type', passwordBody('demo', 'demo-password', 5)],
    ['a project of a wrong type', passwordBody('demo', 'demo-password', { project: 'demo' })],
    ['a project without a name', passwordBody('demo', 'demo-password', { project: {} })],
    ['too deep lists', '['.repeat(30_000) + ']'.repeat(30_000)],
    ['too deep objects', `{"auth":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`],
    ['a prototype', '{"__proto__":{"auth":{}}}'],
  ])('%s: 400', async (_, body) => {
    const answer = await login(made, body)
    expect(answer.status).toBe(400)
    expect(at(answer, 'error')).toEqual({ code: 400, title: 'Bad Request', message: expect.any(String) })
  })

  it('are told where, never what', async () => {
    const body = { auth: { identity: { methods: ['password'], password: { user: { name: 7, password: 'hunter2' } } } } }
    const answer = await login(made, body)
    expect(at(answer, 'error', 'message')).toMatch(/^Invalid input for field 'auth\/identity\/password\/user\/name': /)
    expect(JSON.stringify(answer.body)).not.toContain('hunter2')
  })

  it('too large: 413, on every route', async () => {
    const answer = await login(made, passwordBody('demo', 'x'.repeat(64 * 1024)))
    expect(answer.status).toBe(413)
    expect(at(answer, 'error', 'title')).toBe('Request Entity Too Large')
    expect((await ask(made, 'GET', '/v3', { body: 'x'.repeat(65_537) })).status).toBe(413)
    expect((await login(made, '€'.repeat(22_000))).status).toBe(413)
    expect((await login(made, passwordBody('demo', 'x'.repeat(60_000)))).status).toBe(401)
  })
})

describe('failures of our own', () => {
  const broken = async (error: Error) => {
    const own = await service()
    const byPassword = () => Promise.reject(error)
    const identity = { ...own.identity, logins: { ...own.identity.logins, byPassword } }
    const lines: string[] = []
    const write = (fields: object, message: string) => lines.push(`${message} ${Object.values(fields).join(' ')}`)
    const log = { debug: write, info: write, warn: write, error: write, child: () => log }
    const answer = await login({ ...own, keystone: keystone({ identity, clock: own.clock, log }) }, secret)
    return { answer, log: lines.join('\n') }
  }
  const secret = passwordBody('demo', 'hunter2')

  it('are a 500 that tells nothing, and a line in the log', async () => {
    const { answer, log } = await broken(new Error('table gone'))
    expect(answer.status).toBe(500)
    expect(JSON.stringify(answer.body)).not.toMatch(/table gone|hunter2/)
    expect(log).toContain('table gone')
    expect(log).not.toContain('hunter2')
  })

  it('are a 503 when there is too much to do', async () => {
    const { answer } = await broken(new Busy('busy'))
    expect(answer).toMatchObject({ status: 503, headers: { 'Retry-After': '1' } })
  })
})

describe('times', () => {
  it('are written with six digits', () => {
    expect(timestamp(START)).toBe('2026-01-01T00:00:00.000000Z')
    expect(timestamp(START + 1)).toBe('2026-01-01T00:00:00.001000Z')
  })

  it.each<[string, number | undefined]>([
    ['2026-01-01T00:00:00Z', START],
    ['2026-01-01T00:00:00', START],
    ['2026-01-01T00:00', START],
    ['2026-01-01T00:00:00.000000', START],
    ['2026-01-01T00:00:00.5Z', START + 500],
    ['2026-01-01T02:00:00+02:00', START],
    ['2026-01-01', undefined],
    ['1 Jan 2026', undefined],
    ['2026-02-30T25:00:00Z', undefined],
    ['', undefined],
  ])('%j is read as %s', (text, ms) => {
    expect(instant(text)).toBe(ms)
  })
})
