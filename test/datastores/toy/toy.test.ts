import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { isAlive, type ProcessRef } from '../../../lib/kit/os/process.ts'
import { createInstance, until } from '../../e2e/coffer.ts'
import { askToy } from './client.ts'
import { type ToyCloud, toyCloud } from './cloud.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'coffer-toy-'))
let cloud: ToyCloud
let id: string
let endpoint: { address: string; port: number }
/** The agent of the instance, and its server. */
let processes: ProcessRef[]

const send = (method: string, path: string, body?: unknown) => cloud.session.call(method, path, body)
const filesIn = (...folder: string[]) => {
  const path = join(dataDir, 'host', ...folder)
  return existsSync(path) ? readdirSync(path) : []
}
const readJson = (...path: string[]) => JSON.parse(readFileSync(join(dataDir, 'host', ...path), 'utf8'))

beforeAll(async () => {
  cloud = await toyCloud(dataDir)
  const instance = await createInstance(cloud.session, { databases: [{ name: 'shop' }] })
  id = instance.id
  const [{ address = '', port = 7007 } = {}] = instance.addresses
  endpoint = { address, port }
  const [server = ''] = filesIn('state', 'servers')
  const [volume = ''] = filesIn('volumes')
  processes = [readJson('state', 'servers', server).agent, readJson('volumes', volume, 'server.pid')]
}, 60_000)

afterAll(async () => {
  await cloud?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

describe('a datastore made by how-to-add-a-datastore.md', () => {
  it('is prepared by its agent, with the databases of the create', async () => {
    expect(await askToy(endpoint, 'list')).toEqual(['shop'])
    expect(await Promise.all(processes.map(isAlive))).toEqual([true, true])
  })

  it('has the database that the API creates, and serves it', async () => {
    expect((await send('POST', `/instances/${id}/databases`, { databases: [{ name: 'cart' }] })).status).toBe(202)
    await until('database', async () => ((await askToy(endpoint, 'list')) as string[]).includes('cart'))
    expect(await askToy(endpoint, 'set cart colour red')).toBe(true)
    expect(await askToy(endpoint, 'get cart colour')).toBe('red')
    const { body } = await send('GET', `/instances/${id}/databases`)
    expect(body.databases).toEqual([{ name: 'cart' }, { name: 'shop' }])
  })

  it('keeps its data over a restart', async () => {
    expect((await send('POST', `/instances/${id}/action`, { restart: {} })).status).toBe(202)
    await until('restart', async () => (await send('GET', `/instances/${id}`)).body.instance.status === 'ACTIVE')
    expect(await askToy(endpoint, 'get cart colour')).toBe('red')
  })

  it.each([
    ['POST', '/users', { users: [{ name: 'ann', password: 'pw1' }] }, 'create_user'],
    ['GET', '/users', undefined, 'list_users'],
    ['POST', '/root', undefined, 'enable_root_with_password'],
    ['GET', '/ssl', undefined, 'ssl_show'],
  ])('refuses %s %s with 501', async (method, path, body, operation) => {
    const { status, text } = await send(method, `/instances/${id}${path}`, body)
    expect([status, text]).toEqual([
      501,
      expect.stringContaining(`The '${operation}' operation is not supported for the 'toy' datastore.`),
    ])
  })

  it('leaves no process and no file when it is deleted', async () => {
    expect((await send('DELETE', `/instances/${id}`)).status).toBe(202)
    await until('deletion', async () => (await send('GET', `/instances/${id}`)).status === 404)
    expect(await Promise.all(processes.map(isAlive))).toEqual([false, false])
    expect([filesIn('volumes'), filesIn('servers'), filesIn('state', 'servers')]).toEqual([[], [], []])
  })
})
