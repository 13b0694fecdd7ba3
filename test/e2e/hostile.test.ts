import { beforeAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { routes } from '../../functions/api.ts'
import { bodyOf, type ExactCall, exactCaller, faultOf, isReadableFault } from './api-helpers.ts'
import { sharedCloud } from './cloud.ts'
import { type Answer, createInstance, deleteInstance } from './coffer.ts'

const ANN = { name: 'ann', password: 'pw1' }

const { coffer, demo, admin } = sharedCloud()
let call: ExactCall
let callAsAdmin: ExactCall
let shop: Answer['body']
/** For actions: after a reset its users cannot be managed until its agent reports again. */
let other: Answer['body']
beforeAll(async () => {
  call = exactCaller(coffer, demo)
  callAsAdmin = exactCaller(coffer, admin)
  const creates = [createInstance(demo, { databases: [{ name: 'cart' }], users: [ANN] }), createInstance(demo)]
  ;[shop, other] = await Promise.all(creates)
})

const bodied = routes.filter(({ body }) => body).map(entry => [`${entry.method} ${entry.path}`, entry] as const)
const pathOf = ({ path }: { path: string }) =>
  path
    .replace('{id}', path.endsWith('/action') ? other.id : shop.id)
    .replace('{user}', 'ann')
    .replace('{project}', 'theirs')

/** Expects a 4xx with a body that clients understand. */
function expectRefused(answer: Answer, body: unknown): void {
  const { status } = answer
  if (status < 400 || status > 499 || !isReadableFault(answer)) {
    throw new Error(`${status} ${answer.text.slice(0, 300)} to ${JSON.stringify(body)?.slice(0, 300)}`)
  }
}

/** Copies of the value, in each of which one part, or the value itself, is replaced. */
function replaced(value: unknown, by: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [by]
  const parts = Object.entries(value).flatMap(([key, part]) =>
    replaced(part, by).map(copy => (Array.isArray(value) ? value.with(Number(key), copy) : { ...value, [key]: copy })),
  )
  return [by, ...parts]
}

describe.each(bodied)('the body of %s', (_name, entry) => {
  const send = (body: unknown, headers?: Record<string, string>) =>
    (entry.audience === 'admin' ? callAsAdmin : call)(entry.method, pathOf(entry), body, headers)

  it('is refused when it is not JSON, or not in UTF-8', async () => {
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

  it('is refused with another content type', async () => {
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

  it('is refused when it, or a part of it, has a wrong type', async () => {
    // Accepted all the same: any `force_delete`, a user without changes, a body of root without a password, and a limit
    // of -1 or null.
    const good = JSON.stringify(bodyOf(entry))
    const fine = entry.optionalBody
      ? /^(null|\{"a":1\}|\{"password":null\})$/
      : /force_delete|"user":\{"a"|"active":true|"instances":(null|-1)/
    const isAccepted = (body: unknown) => fine.test(JSON.stringify(body)) || JSON.stringify(body) === good
    for (const wrong of [null, true, 1.5, -1, 1e308, [[]], ['x', 7], { a: 1 }]) {
      for (const body of replaced(bodyOf(entry), wrong).filter(each => !isAccepted(each)))
        expectRefused(await send(body), body)
    }
  })

  it('never causes a server error, whatever it is', async () => {
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
        // A valid request must not fill the quota.
        if (entry.path === '/instances' && answer.status === 200) await deleteInstance(demo, answer.body.instance.id)
        // The next request needs ann, who may have got another name.
        if (entry.path.includes('{user}')) await call('POST', `/instances/${shop.id}/users`, { users: [ANN] })
      }),
      { numRuns: 40 },
    )
  })
})

describe('a hostile request', () => {
  it('with `__proto__` or the like as a key is refused', async () => {
    const path = `/instances/${shop.id}`
    for (const key of ['__proto__', 'constructor', 'prototype', 'hasOwnProperty']) {
      expectRefused(await call('POST', `${path}/action`, `{"${key}":{"force_delete":1}}`), key)
      expectRefused(await call('POST', `${path}/databases`, `{"${key}":{"databases":[]}}`), key)
    }
    const body = '{"instance":{"__proto__":{"name":"x"},"flavorRef":1,"volume":{"size":1}}}'
    expect(faultOf(await call('POST', '/instances', body)).message).toMatch(/name/)
    expect((await call('GET', '/instances?__proto__=1&constructor=2&limit=1')).status).toBe(200)
  })

  it('with an impossible path is answered with 404', async () => {
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
        expect([path, answer.status, isReadableFault(answer)]).toEqual([path, 404, true])
      }
    }
    for (const id of ids) expectRefused(await call('GET', `/datastores/postgresql/versions/${id}`), id)
  })

  it('with an impossible limit or marker is refused, or lists nothing', async () => {
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

  it('has no headers that reach the response', async () => {
    const headers = { 'x-openstack-request-id': 'req-mine', 'x-auth-project-id': 'alt', accept: 'application/xml' }
    const answer = await demo.call('GET', '/instances', undefined, headers)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-openstack-request-id')).not.toBe('req-mine')
    for (const [name] of answer.headers) expect(name).not.toBe('set-cookie')
  })

  it('with more items than a command can hold is refused', async () => {
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

  it('changes nothing', async () => {
    expect((await call('GET', '/instances')).body.instances).toHaveLength(2)
    expect((await call('GET', `/instances/${shop.id}`)).body.instance.status).toBe('ACTIVE')
  })
})
