import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import fc from 'fast-check'
import { routes } from '../../functions/api.ts'
import { bodyOf, type Exact, exact, faultOf, readable } from './api-helpers.ts'
import { type Answer, type Coffer, createInstance, deleteInstance, type Session, startCoffer, wipe } from './coffer.ts'

jest.setTimeout(60_000)

const ANN = { name: 'ann', password: 'pw1' }

let coffer: Coffer
let demo: Session
let call: Exact
let asAdmin: Exact
let shop: Answer['body']
/** For actions: after a reset its users cannot be managed until its agent reports again. */
let other: Answer['body']
beforeAll(async () => {
  coffer = await startCoffer()
  demo = await coffer.login()
  call = exact(coffer, demo)
  asAdmin = exact(coffer, await coffer.login('openrc-admin'))
  shop = await createInstance(demo, { databases: [{ name: 'cart' }], users: [ANN] })
  other = await createInstance(demo)
})
afterAll(async () => {
  await coffer?.stop()
  await wipe(coffer.dataDir)
  // An unexpected failure is logged with its stack: there must be none.
  expect(coffer.output().match(/^.*(request failed|gateway failed).*$/gm)).toBeNull()
})

const bodied = routes.filter(({ body }) => body).map(entry => [`${entry.method} ${entry.path}`, entry] as const)
const pathOf = ({ path }: { path: string }) =>
  path
    .replace('{id}', path.endsWith('/action') ? other.id : shop.id)
    .replace('{user}', 'ann')
    .replace('{project}', 'theirs')

/** Refused with a 4xx that clients can read. */
function expectRefused(answer: Answer, sent: unknown): void {
  const { status } = answer
  if (status < 400 || status > 499 || !readable(answer)) {
    throw new Error(`${status} ${answer.text.slice(0, 300)} to ${JSON.stringify(sent)?.slice(0, 300)}`)
  }
}

/** Every copy of the value in which one part of it, itself included, is replaced. */
function replaced(value: unknown, by: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [by]
  const parts = Object.entries(value).flatMap(([key, part]) =>
    replaced(part, by).map(copy => (Array.isArray(value) ? value.with(Number(key), copy) : { ...value, [key]: copy })),
  )
  return [by, ...parts]
}

describe.each(bodied)('the body of %s', (_name, entry) => {
  const send = (body: unknown, headers?: Record<string, string>) =>
    (entry.audience === 'admin' ? asAdmin : call)(entry.method, pathOf(entry), body, headers)

  it('is refused when it is no JSON, or not in UTF-8', async () => {
    for (const body of [
      '{',
      '{"a":}',
      'x',
      '{"instance":{"name":"a"',
      "{'a':1}",
      '\0',
      '<a/>',
      Buffer.from([0x22, 0xff, 0x22]),
    ]) {
      const answer = await send(body)
      expect([answer.status, answer.body.code, answer.body.title]).toEqual([400, '400 Bad Request', 'Bad Request'])
    }
  })

  it('is refused when it is of another type', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'text/xml',
      'application/xml; charset=utf-16',
      'application/jsonx',
      'x',
    ]) {
      const answer = await send('{}', { 'content-type': type })
      expect([answer.status, answer.body.code]).toEqual([415, '415 Unsupported Media Type'])
    }
    const empty = await send('', { 'content-type': 'text/plain' })
    expect(empty.status).toBe(entry.optionalBody ? 200 : 400)
  })

  it('is refused when it is too large or too deep', async () => {
    const large = await send(`{"x":"${'y'.repeat(1024 * 1024)}"}`)
    expect([large.status, faultOf(large).name]).toEqual([413, 'overLimit'])
    const deep = await send(`${'{"a":'.repeat(33)}1${'}'.repeat(33)}`)
    expect([deep.status, deep.body.title]).toEqual([400, 'Bad Request'])
    expectRefused(await send('['.repeat(500_000)), 'many brackets')
  })

  it('is refused when it, or a part of it, is of a wrong type', async () => {
    // A reset takes whatever stands in `force_delete`; a user without a change is one that stays as it is.
    // Root takes nothing that concerns it, and a limit may be -1, or null to be skipped.
    const good = JSON.stringify(bodyOf(entry))
    const fine = entry.optionalBody
      ? /^(null|\{"a":1\}|\{"password":null\})$/
      : /force_delete|"user":\{"a"|"active":true|"instances":(null|-1)/
    const taken = (body: unknown) => fine.test(JSON.stringify(body)) || JSON.stringify(body) === good
    for (const wrong of [null, true, 1.5, -1, 1e308, [[]], ['x', 7], { a: 1 }]) {
      for (const body of replaced(bodyOf(entry), wrong).filter(each => !taken(each)))
        expectRefused(await send(body), body)
    }
  })

  it('never makes the service fail, whatever it is', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('__proto__', 'constructor', '\ud800', '\0', '%', '\r\nX: y'),
    )
    const any = fc.anything({ key: text, values: [text, fc.double(), fc.boolean(), fc.constant(null)], maxDepth: 3 })
    const base = bodyOf(entry)
    const mutated = fc.tuple(any, fc.nat()).map(([value, at]) => {
      const copies = replaced(base, value)
      return copies[at % copies.length]
    })
    await fc.assert(
      fc.asyncProperty(mutated, async body => {
        const answer = await send(JSON.stringify(body) ?? 'null')
        expect(answer.status).toBeLessThan(500)
        if (answer.status >= 400) expectRefused(answer, body)
        // What was a good request after all must not fill the quota.
        if (entry.path === '/instances' && answer.status === 200) await deleteInstance(demo, answer.body.instance.id)
        // Nor may a new name leave nobody for the next request.
        if (entry.path.includes('{user}')) await call('POST', `/instances/${shop.id}/users`, { users: [ANN] })
      }),
      { numRuns: 40 },
    )
  })
})

describe('hostile keys, ids and headers', () => {
  it('`__proto__` and its like are unknown keys', async () => {
    const path = `/instances/${shop.id}`
    for (const key of ['__proto__', 'constructor', 'prototype', 'hasOwnProperty']) {
      expectRefused(await call('POST', `${path}/action`, `{"${key}":{"force_delete":1}}`), key)
      expectRefused(await call('POST', `${path}/databases`, `{"${key}":{"databases":[]}}`), key)
    }
    const body = '{"instance":{"__proto__":{"name":"x"},"flavorRef":1,"volume":{"size":1}}}'
    expect(faultOf(await call('POST', '/instances', body)).message).toMatch(/name/)
    expect((await call('GET', '/instances?__proto__=1&constructor=2&limit=1')).status).toBe(200)
  })

  it('paths that are none are not found', async () => {
    const ids = [
      '%00',
      '%',
      '%zz',
      '%c0%ae',
      "'",
      '%27%20OR%201=1--',
      '{id}',
      '*',
      '%0d%0aX:%20y',
      '..;',
      'a'.repeat(12_000),
    ]
    for (const id of ids) {
      for (const path of [
        `/instances/${id}`,
        `/instances/${id}/users`,
        `/instances/${shop.id}/${id}`,
        `/flavors/${id}`,
      ]) {
        const answer = await call('GET', path)
        expect([path, answer.status, readable(answer)]).toEqual([path, 404, true])
      }
    }
    for (const id of ids) expectRefused(await call('GET', `/datastores/postgresql/versions/${id}`), id)
  })

  it('limits and markers that are none are refused, or lead nowhere', async () => {
    for (const path of ['/instances', `/instances/${shop.id}/users`, `/instances/${shop.id}/databases`]) {
      for (const limit of ['0', '-1', '1.5', 'abc', '', '%00', '1e9', '9'.repeat(400)]) {
        expect((await call('GET', `${path}?limit=${limit}`)).status).toBe(400)
      }
      for (const marker of ['%F0%9F%90%98', '%27', '%', '%7f', '%ff', '@', '@%25', 'z'.repeat(512)]) {
        expect((await call('GET', `${path}?marker=${marker}`)).status).toBe(200)
      }
      for (const marker of ['a%00', 'z'.repeat(513), 'z'.repeat(4_000), '%C3%BC'.repeat(257)]) {
        expect((await call('GET', `${path}?marker=${marker}`)).status).toBe(400)
      }
    }
  })

  it('headers of the client do not reach the answer', async () => {
    const headers = { 'x-openstack-request-id': 'req-mine', 'x-auth-project-id': 'alt', accept: 'application/xml' }
    const answer = await demo.call('GET', '/instances', undefined, headers)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-openstack-request-id')).not.toBe('req-mine')
    for (const [name] of answer.headers) expect(name).not.toBe('set-cookie')
  })

  it('more than can be kept until it is done is refused', async () => {
    const users = (count: number, password: string) =>
      Array.from({ length: count }, (_, n) => ({ name: `u${n}`, password }))
    for (const each of [users(501, 'p'), users(400, 'p'.repeat(1_000)), users(20_000, 'p')]) {
      expectRefused(await call('POST', `/instances/${shop.id}/users`, { users: each }), each.length)
      expectRefused(await call('PUT', `/instances/${shop.id}/users`, { users: each }), each.length)
      const instance = { name: 'many', flavorRef: 1, volume: { size: 1 }, users: each }
      expectRefused(await call('POST', '/instances', { instance }), each.length)
    }
    const databases = Array.from({ length: 501 }, (_, n) => ({ name: `d${n}` }))
    expectRefused(await call('POST', `/instances/${shop.id}/databases`, { databases }), 'databases')
  })

  it('nothing of all that changed what was there', async () => {
    expect((await call('GET', '/instances')).body.instances).toHaveLength(2)
    expect((await call('GET', `/instances/${shop.id}`)).body.instance.status).toBe('ACTIVE')
  })
})
