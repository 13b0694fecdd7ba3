import { randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals'
import { contentOf, filesOf } from '../files.ts'
import { query, userIs } from './api-helpers.ts'
import {
  type Answer,
  type Coffer,
  createInstance,
  deleteInstance,
  processesOf,
  type Session,
  startCoffer,
  until,
  wipe,
} from './coffer.ts'

jest.setTimeout(120_000)

/** Stands in every password of the test. Of letters that no escaping changes: it is found whatever is around it. */
const MARK = randomBytes(12).toString('hex')
const canary = (use: string) => `Ca"nary\\ü?>~${use}${MARK}`

let coffer: Coffer
let demo: Session
const answers: string[] = []
beforeAll(async () => {
  coffer = await startCoffer()
  demo = await coffer.login()
})
afterAll(async () => {
  await coffer?.stop()
  await wipe(coffer.dataDir)
})

/** Calls, and keeps what was answered. */
async function told(method: string, path: string, body?: unknown): Promise<Answer> {
  const answer = await demo.call(method, path, body)
  answers.push(answer.text)
  return answer
}

/** The mark as it is, in hexadecimal, and in base64 at each of its three alignments (hex digits need no `+` or `/`). */
const NEEDLES = [
  Buffer.from(MARK),
  Buffer.from(Buffer.from(MARK).toString('hex')),
  ...[0, 1, 2].map(pad => {
    const encoded = Buffer.from('x'.repeat(pad) + MARK).toString('base64')
    // The first and last characters depend on the neighbours.
    return Buffer.from(encoded.slice(4, -4))
  }),
]
const holds = (content: Buffer) => NEEDLES.some(needle => content.includes(needle))

/** The files of the cloud that hold a canary, but for the programs: they were there before. */
const files = () => filesOf(coffer.dataDir).filter(path => holds(contentOf(path)))

/** What the processes show of themselves. */
const processes = () =>
  processesOf(coffer.dataDir)
    .map(({ pid }) => pid)
    .filter(pid => holds(contentOf(`/proc/${pid}/cmdline`)) || holds(contentOf(`/proc/${pid}/environ`)))

function expectNowhere(): void {
  expect(files()).toEqual([])
  expect(processes()).toEqual([])
  expect(holds(Buffer.from(coffer.output()))).toBe(false)
  expect(holds(Buffer.from(answers.join('\n')))).toBe(false)
}

it('would find a canary, however it is written', () => {
  const path = join(coffer.dataDir, 'planted')
  const text = canary('x')
  for (const encoding of ['utf8', 'hex', 'base64', 'base64url'] as const) {
    for (const before of ['', 'a', 'bc'])
      expect(holds(Buffer.from(Buffer.from(before + text).toString(encoding)))).toBe(true)
  }
  for (const written of [JSON.stringify(JSON.stringify(text)), encodeURIComponent(text)]) {
    writeFileSync(path, written)
    expect(files()).toEqual([path])
  }
  rmSync(path)
  expectNowhere()
})

it('passwords are found in no file, log, process or answer', async () => {
  const shop = await createInstance(demo, {
    databases: [{ name: 'cart' }],
    users: [{ name: 'ann', password: canary('create'), databases: [{ name: 'cart' }] }],
  })
  const login = (user: string, password: string) =>
    until(`login of ${user}`, () => query(shop, { user, password, database: 'cart' }, 'SELECT 1').catch(() => false))
  await login('ann', canary('create'))
  expectNowhere()

  const users = `/instances/${shop.id}/users`
  const bob = { name: 'bob', password: canary('user'), databases: [{ name: 'cart' }] }
  expect((await told('POST', users, { users: [bob] })).status).toBe(202)
  await userIs(demo, users, 'bob', 200)
  await login('bob', canary('user'))
  expect((await told('PUT', users, { users: [{ name: 'ann', password: canary('bulk') }] })).status).toBe(202)
  await login('ann', canary('bulk'))
  expect((await told('PUT', `${users}/bob`, { user: { password: canary('update') } })).status).toBe(202)
  await login('bob', canary('update'))
  expectNowhere()

  await refusals(shop.id)
  for (const path of ['', '/users', '/users/ann', '/operations']) await told('GET', `/instances/${shop.id}${path}`)
  await told('GET', '/instances/detail')
  expectNowhere()

  await deleteInstance(demo, shop.id)
  expectNowhere()
  await coffer.stop()
  expectNowhere()
})

/** Requests that are refused, each at another place, with a password in them. */
async function refusals(id: string): Promise<void> {
  const password = canary('refused')
  const users = `/instances/${id}/users`
  for (const body of [
    { users: [{ name: 'ann', password }] },
    { users: [{ name: 'new', password, databases: [{ name: 'nothing' }] }] },
    { users: [{ name: 'new', password, host: 'x' }] },
    { users: [{ name: 7, password }] },
    { users: [{ name: 'new', password: [password] }] },
    { users: [{ name: 'new', password: `${password}\0` }] },
    `{"users":[{"name":"new","password":${JSON.stringify(password)}`,
  ]) {
    expect((await told('POST', users, body)).status).toBeGreaterThanOrEqual(400)
  }
  expect((await told('PUT', users, { users: [{ name: 'nobody', password }] })).status).toBe(404)
  const wanted = { name: 'x', flavorRef: 99, volume: { size: 1 }, users: [{ name: 'a', password }] }
  expect((await told('POST', '/instances', { instance: wanted })).status).toBe(400)
}
