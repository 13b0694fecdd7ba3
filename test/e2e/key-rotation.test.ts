import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { query } from './api-helpers.ts'
import { ANN, CART, ownCloud } from './cloud.ts'
import { createInstance, request, requestInstance, until, waitUntilActive } from './coffer.ts'

const { coffer, demo, restart } = ownCloud()

interface KeyFile {
  current: string
  keys: { id: string; key: string }[]
}

const keyFile = () => join(coffer.dataDir, 'master.key')
const readKeys = (): KeyFile => JSON.parse(readFileSync(keyFile(), 'utf8'))

function writeKeys(content: KeyFile): void {
  writeFileSync(`${keyFile()}.new`, JSON.stringify(content), { mode: 0o600 })
  renameSync(`${keyFile()}.new`, keyFile())
}

function addCurrentKey(id: string, fill: number): void {
  const { keys } = readKeys()
  writeKeys({ current: id, keys: [...keys, { id, key: Buffer.alloc(32, fill).toString('base64url') }] })
}

const usersOf = async (id: string) => {
  const { status, body } = await demo.call('GET', `/instances/${id}/users`)
  return [status, body.users?.map(({ name }: { name: string }) => name)]
}

/** How many records the metrics say are left with an older key; undefined before they were counted. */
async function remaining(): Promise<string | undefined> {
  const { text } = await request('GET', `${coffer.base}/metrics`)
  return /^coffer_key_records_remaining (\d+)$/m.exec(text)?.[1]
}

it('a new master key is taken up while everything runs, and the old one can be removed', async () => {
  const shop = await createInstance(demo, CART)
  const begun = await requestInstance(demo, { ...CART, name: 'begun' })
  addCurrentKey('second', 2)
  await until('use of the new key', async () => /"key":"second"/.test(coffer.output()))

  expect(await usersOf(shop.id)).toEqual([200, ['ann']])
  const rest = await waitUntilActive(demo, begun.id)
  expect(await usersOf(rest.id)).toEqual([200, ['ann']])
  expect((await demo.call('POST', `/instances/${shop.id}/action`, { restart: {} })).status).toBe(202)
  await waitUntilActive(demo, shop.id)

  await until('end of the re-encryption', async () => (await remaining()) === '0', 120_000)
  const { current, keys } = readKeys()
  writeKeys({ current, keys: keys.filter(({ id }) => id === current) })
  await until('removal of the old key', async () => (await remaining()) === undefined)

  // A token ends with the key that signed it.
  expect((await demo.call('GET', '/instances')).status).toBe(401)
  Object.assign(demo, await coffer.login())
  expect(await usersOf(shop.id)).toEqual([200, ['ann']])
  const last = await createInstance(demo, { ...CART, name: 'last' })
  await restart()
  for (const { id } of [shop, begun, last]) {
    const instance = await waitUntilActive(demo, id)
    expect(await usersOf(id)).toEqual([200, ['ann']])
    expect(await query(instance, ANN, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  }
}, 300_000)
