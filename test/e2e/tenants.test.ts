import { beforeAll, describe, expect, it } from '@jest/globals'
import { bodyOf, faultOf, isReadableFault, rawRequest } from './api-helpers.ts'
import { CART, sharedCloud } from './cloud.ts'
import { type Answer, createInstance, request, type Session } from './coffer.ts'
import { type Entry, fillPath, projectRoutes, routesWithoutBody, withNames } from './route-table.ts'

const { coffer, demo, alt, admin } = sharedCloud()
let shop: Answer['body']
let before: string
beforeAll(async () => {
  shop = await createInstance(demo, CART)
  before = await everythingOf(demo)
})

/** Everything the API shows of the instance, as one text, without figures that change by themselves. */
async function everythingOf(session: Session): Promise<string> {
  const paths = ['', '/databases', '/users', '/users/ann/databases', '/operations', '/ssl'].map(
    path => `/instances/${shop.id}${path}`,
  )
  const answers = await Promise.all([...paths, '/instances'].map(path => session.call('GET', path)))
  const text = answers.map(answer => `${answer.status} ${answer.text}`).join('\n')
  return text.replace(/"(service_status_updated|used|used_percent)":[^,}]+,?/g, '')
}

const filledPath = (entry: Entry) => fillPath(entry, { instance: shop.id, project: demo.project })

it('has a body for each route that needs one, so that no request below is refused for its body', () => {
  expect(routesWithoutBody()).toEqual([])
})

describe.each(withNames(projectRoutes))('%s', (_name, entry) => {
  const ask = (path: string, headers: Record<string, string> = {}) => {
    const body = bodyOf(entry)
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    return request(entry.method, `${coffer.base}/v1.0/${path}`, body, { ...type, ...headers })
  }

  it('refuses a foreign project in the path, admins too', async () => {
    for (const { token } of [alt, admin]) {
      const answer = await ask(`${demo.project}${filledPath(entry)}`, { 'x-auth-token': token })
      expect([answer.status, answer.body.code, answer.body.title]).toEqual([403, '403 Forbidden', 'Forbidden'])
      expect(answer.text).not.toContain('shop')
    }
  })

  it('refuses a request without a valid token', async () => {
    const forged = demo.token.replace(/.$/, last => (last === 'A' ? 'B' : 'A'))
    const [header, payload, signature] = demo.token.split('.')
    const unsigned = [Buffer.from('{"alg":"none"}').toString('base64url'), payload, ''].join('.')
    const expired = [header, expiredPayload(payload ?? ''), signature].join('.')
    for (const token of [
      undefined,
      'garbage',
      'a.b.c',
      forged,
      unsigned,
      expired,
      demo.token.slice(0, -9),
      `${demo.token}x`,
    ]) {
      const answer = await ask(
        `${demo.project}${filledPath(entry)}`,
        token === undefined ? {} : { 'x-auth-token': token },
      )
      expect(answer.status).toBe(401)
      expect(answer.headers.get('www-authenticate')).toBe(`Keystone uri="${coffer.base}/identity/v3"`)
      expect(answer.body).toEqual({ error: { code: 401, title: 'Unauthorized', message: expect.any(String) } })
    }
  })

  if (entry.path.startsWith('/instances/{id}')) {
    it('finds no foreign instance by its id', async () => {
      const answer = await ask(`${alt.project}${filledPath(entry)}`, { 'x-auth-token': alt.token })
      // A single database is shown to nobody, as in Trove.
      const [code, name] =
        entry.method === 'GET' && entry.path.endsWith('/databases/{name}')
          ? [501, 'notImplemented']
          : [404, 'itemNotFound']
      expect([answer.status, faultOf(answer).name]).toEqual([code, name])
      expect(answer.text).not.toMatch(/shop|cart|127\.0/)
    })
  }
})

/** The payload of a token, with an expiry long ago. */
function expiredPayload(payload: string): string {
  const claims: Record<string, unknown> = JSON.parse(Buffer.from(payload, 'base64url').toString() || '{}')
  return Buffer.from(JSON.stringify({ ...claims, exp: 1_000_000_000 })).toString('base64url')
}

describe('a foreign instance', () => {
  it('is unchanged by all these requests, which created nothing', async () => {
    expect(await everythingOf(demo)).toBe(before)
    expect((await alt.call('GET', '/instances')).body).toEqual({ instances: [] })
  })

  it('is in no list of another project, whatever the query', async () => {
    for (const query of [
      '',
      '?project_id=demo',
      `?project_id=${demo.project}`,
      '?all_projects=true',
      '?deleted=true',
      `?marker=0`,
    ]) {
      for (const path of ['/instances', '/instances/detail']) {
        for (const session of [alt, admin]) {
          expect((await session.call('GET', `${path}${query}`)).body).toEqual({ instances: [] })
        }
      }
    }
  })

  it('is not reached with a marker', async () => {
    for (const marker of ['z', '#', '../', `${demo.project}%01instance%23`, shop.id]) {
      expect((await alt.call('GET', `/instances?marker=${marker}`)).body).toEqual({ instances: [] })
    }
  })

  it('cannot be replicated', async () => {
    const answer = await alt.call('POST', '/instances', { instance: { name: 'copy', replica_of: shop.id } })
    expect(faultOf(answer).code).toBe(404)
  })

  it('is not reached by a path that the project check and the router could read differently', async () => {
    const headers = { 'x-auth-token': alt.token }
    const to = `/${demo.project}/instances/${shop.id}`
    const prefix = `/v1.0/${alt.project}`
    for (const path of [
      `${prefix}/..${to}`,
      `${prefix}/%2e%2e${to}`,
      `${prefix}%2f..${to}`,
      `//v1.0${to}`,
      `/v1.0/${to}`,
      `/v1%2e0${to}`,
      `/V1.0${to}`,
      `/v1.0;x${to}`,
      `/v1.0/%64%65${to}`,
      `/identity/../v1.0${to}`,
      `http://h/v1.0${to}`,
    ]) {
      const answer = await rawRequest('GET', coffer.base, path, headers)
      expect([401, 403, 404]).toContain(answer.status)
      expect(answer.text).not.toContain('shop')
    }
  })

  it('is reached by an admin by its id, with links to the admin’s project', async () => {
    const { status, body } = await admin.call('GET', `/instances/${shop.id}`)
    expect(status).toBe(200)
    expect(body.instance.tenant_id).toBe(demo.project)
    for (const { href } of [body.instance.links[0], body.instance.flavor.links[0]]) {
      expect(href.startsWith(`${coffer.base}/v1.0/${admin.project}/`)).toBe(true)
    }
    expect((await admin.call('GET', `/instances/${shop.id}/users`)).body.users[0].name).toBe('ann')
    expect((await admin.call('GET', `/instances/${shop.id}/operations`)).body.operations).toHaveLength(1)
  })
})

describe('tokens', () => {
  it('are refused as soon as they are revoked', async () => {
    const session = await coffer.login('openrc-alt')
    expect((await session.call('GET', '/instances')).status).toBe(200)
    const headers = { 'x-subject-token': session.token }
    expect((await session.call('DELETE', `${coffer.base}/identity/v3/auth/tokens`, undefined, headers)).status).toBe(
      204,
    )
    expect((await session.call('GET', '/instances')).status).toBe(401)
    expect((await alt.call('GET', '/instances')).status).toBe(200)
  })

  it('are refused without a project', async () => {
    const identity = { methods: ['token'], token: { id: alt.token } }
    const answer = await request('POST', `${coffer.base}/identity/v3/auth/tokens`, {
      auth: { identity, scope: 'unscoped' },
    })
    expect(answer.body.token).not.toHaveProperty('project')
    const headers = { 'x-auth-token': answer.headers.get('x-subject-token') ?? '' }
    for (const path of [`/v1.0/${alt.project}/instances`, '/v1.0//instances', '/v1.0/undefined/instances', '/v1.0/']) {
      expect((await request('GET', `${coffer.base}${path}`, undefined, headers)).status).toBe(401)
    }
  })

  it('are refused with 401 if they are long, and with 431 and a body if they are too long', async () => {
    const path = `/v1.0/${alt.project}/instances`
    expect((await rawRequest('GET', coffer.base, path, { 'x-auth-token': 'x'.repeat(9_000) })).status).toBe(401)
    const answer = await rawRequest('GET', coffer.base, path, { 'x-auth-token': 'x'.repeat(20_000) })
    const body = JSON.parse(answer.text)
    expect(isReadableFault({ status: 431, body })).toBe(true)
    expect([answer.status, body.title]).toEqual([431, 'Request Header Fields Too Large'])
  })
})
