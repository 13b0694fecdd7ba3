import { randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { cloudFiles, readIfPresent } from '../files.ts'
import { query, waitForUser } from './api-helpers.ts'
import { ownCloud } from './cloud.ts'
import { type Answer, createInstance, deleteInstance, processesOf, until } from './coffer.ts'

/** Part of every password of the test. No escaping changes its letters, so it can be searched for. */
const MARK = randomBytes(12).toString('hex')
const canary = (use: string) => `Ca"nary\\ü?>~${use}${MARK}`

const { coffer, demo } = ownCloud(['--spares', '0'])
const answers: string[] = []

/** Calls the API and records the response. */
async function callAndRecord(method: string, path: string, body?: unknown): Promise<Answer> {
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
const hasMark = (content: Buffer) => NEEDLES.some(needle => content.includes(needle))

/** The files of the cloud with a canary; its programs are left out. */
const filesWithMark = () => cloudFiles(coffer.dataDir).filter(path => hasMark(readIfPresent(path)))

/** The processes with a canary in their arguments or environment. */
const processesWithMark = () =>
  processesOf(coffer.dataDir)
    .map(({ pid }) => pid)
    .filter(pid => hasMark(readIfPresent(`/proc/${pid}/cmdline`)) || hasMark(readIfPresent(`/proc/${pid}/environ`)))

function expectNowhere(): void {
  expect(filesWithMark()).toEqual([])
  expect(processesWithMark()).toEqual([])
  expect(hasMark(Buffer.from(coffer.output()))).toBe(false)
  expect(hasMark(Buffer.from(answers.join('\n')))).toBe(false)
}

it('finds a canary in every encoding', () => {
  const path = join(coffer.dataDir, 'planted')
  const text = canary('x')
  for (const encoding of ['utf8', 'hex', 'base64', 'base64url'] as const) {
    for (const before of ['', 'a', 'bc'])
      expect(hasMark(Buffer.from(Buffer.from(before + text).toString(encoding)))).toBe(true)
  }
  for (const content of [JSON.stringify(JSON.stringify(text)), encodeURIComponent(text)]) {
    writeFileSync(path, content)
    expect(filesWithMark()).toEqual([path])
  }
  rmSync(path)
  expectNowhere()
})

it('finds passwords in no file, log, process or response', async () => {
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
  expect((await callAndRecord('POST', users, { users: [bob] })).status).toBe(202)
  await waitForUser(demo, users, 'bob', 200)
  await login('bob', canary('user'))
  expect((await callAndRecord('PUT', users, { users: [{ name: 'ann', password: canary('bulk') }] })).status).toBe(202)
  await login('ann', canary('bulk'))
  expect((await callAndRecord('PUT', `${users}/bob`, { user: { password: canary('update') } })).status).toBe(202)
  await login('bob', canary('update'))
  expectNowhere()

  await sendRefusedRequests(shop.id)
  for (const path of ['', '/users', '/users/ann', '/operations'])
    await callAndRecord('GET', `/instances/${shop.id}${path}`)
  await callAndRecord('GET', '/instances/detail')
  expectNowhere()

  await deleteInstance(demo, shop.id)
  expectNowhere()
  await coffer.stop()
  expectNowhere()
})

/** Sends requests with a password that are refused, each for another reason. */
async function sendRefusedRequests(id: string): Promise<void> {
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
    expect((await callAndRecord('POST', users, body)).status).toBeGreaterThanOrEqual(400)
  }
  expect((await callAndRecord('PUT', users, { users: [{ name: 'nobody', password }] })).status).toBe(404)
  const instance = { name: 'x', flavorRef: 99, volume: { size: 1 }, users: [{ name: 'a', password }] }
  expect((await callAndRecord('POST', '/instances', { instance })).status).toBe(400)
}
