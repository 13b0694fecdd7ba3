import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { query } from './api-helpers.ts'
import { ANN, CART, ownCloud } from './cloud.ts'
import { createInstance, followProcess, request, requestInstance, until, waitUntilActive } from './coffer.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const { coffer, demo, restart } = ownCloud()

/** The command that changes the master keys of the running cloud. */
async function key(...args: string[]): Promise<{ status: number | null; output: string }> {
  const program = ['--disable-warning=ExperimentalWarning', join(ROOT, 'scripts', 'master-key.ts')]
  const env = { ...process.env, NODE_OPTIONS: '' }
  const { exited, output } = followProcess(
    spawn(process.execPath, [...program, ...args, '--data-dir', coffer.dataDir], { env }),
  )
  return { status: await exited, output: output() }
}

const currentId = (): string => JSON.parse(readFileSync(join(coffer.dataDir, 'master.key'), 'utf8')).current

const usersOf = async (id: string) => {
  const { status, body } = await demo.call('GET', `/instances/${id}/users`)
  return [status, body.users?.map(({ name }: { name: string }) => name)]
}

/** How many records the metrics say are left with an older key; undefined before they were counted. */
async function remaining(): Promise<string | undefined> {
  const { text } = await request('GET', `${coffer.base}/metrics`)
  return /^coffer_key_records_remaining\{key="[^"]+"\} (\d+)$/m.exec(text)?.[1]
}

it('a new master key is taken up while everything runs, and the old one can be removed', async () => {
  const shop = await createInstance(demo, CART)
  const early = await requestInstance(demo, { ...CART, name: 'early' })
  const old = currentId()
  const authority = readFileSync(join(coffer.dataDir, 'ca.pem'), 'utf8')
  expect(await key('rotate')).toMatchObject({ status: 0 })
  expect(currentId()).not.toBe(old)
  await until('use of the new key', async () => coffer.output().includes(`"key":"${currentId()}"`))

  // While records need it, it cannot be removed by mistake.
  expect(await key('remove', old)).toMatchObject({ status: 1, output: expect.stringContaining('may need the key') })
  expect(await usersOf(shop.id)).toEqual([200, ['ann']])
  const users = { users: [{ name: 'bob', password: 'pw2' }] }
  expect((await demo.call('POST', `/instances/${shop.id}/users`, users)).status).toBe(202)
  await until('new user', async () => (await usersOf(shop.id))[1]?.includes('bob'))
  const rest = await waitUntilActive(demo, early.id)
  expect(await usersOf(rest.id)).toEqual([200, ['ann']])
  expect((await demo.call('POST', `/instances/${shop.id}/action`, { restart: {} })).status).toBe(202)
  await waitUntilActive(demo, shop.id)

  await until('end of the re-encryption', async () => (await remaining()) === '0', 120_000)
  expect(await key('remove', currentId())).toMatchObject({ status: 1 })
  expect(await key('remove', old)).toMatchObject({ status: 0 })
  await until('removal of the old key', async () => (await remaining()) === undefined)

  // Who trusted the authority of before has to trust nothing new yet.
  expect(readFileSync(join(coffer.dataDir, 'ca.pem'), 'utf8').startsWith(authority)).toBe(true)
  // A token ends with the key that signed it.
  expect((await demo.call('GET', '/instances')).status).toBe(401)
  Object.assign(demo, await coffer.login())
  expect(await usersOf(shop.id)).toEqual([200, ['ann', 'bob']])
  const last = await createInstance(demo, { ...CART, name: 'last' })
  await restart()
  for (const { id } of [shop, early, last]) {
    const instance = await waitUntilActive(demo, id)
    expect(await usersOf(id)).toEqual([200, id === shop.id ? ['ann', 'bob'] : ['ann']])
    expect(await query(instance, ANN, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  }
}, 300_000)
