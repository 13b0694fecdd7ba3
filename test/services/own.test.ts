import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { freePort } from '../../localstack/emulator.ts'
import {
  type Answer,
  createInstance,
  deleteInstance,
  type LaunchedProcess,
  processesOf,
  waitUntilActive,
  wipe,
} from '../e2e/coffer.ts'
import { tempDir } from '../e2e/temp-dir.ts'
import { newServer, type Server } from '../platform/store/postgresql/server.ts'
import { sessionAt, startComponent } from './components.ts'
import { type RabbitServer, startRabbit } from './rabbitmq-server.ts'

const WAIT_MS = 240_000
const DATABASE = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}

let base: string
let rabbit: RabbitServer
let postgresql: Server
const running: LaunchedProcess[] = []
const gateways: string[] = []

async function start(only: string, folder: string, args: string[] = []): Promise<void> {
  const [publicUrl = ''] = gateways
  running.push(await startComponent({ base, publicUrl, rabbit, postgresql }, only, folder, args))
}

beforeAll(async () => {
  base = tempDir()
  for (const folder of ['gateway', 'other', 'work', 'host']) mkdirSync(join(base, folder), { mode: 0o755 })
  ;[rabbit, postgresql] = await Promise.all([startRabbit(), newServer()])
  const [firstPort = 0, secondPort = 0] = await Promise.all([freePort(), freePort()])
  gateways.push(`http://127.0.0.1:${firstPort}`, `http://127.0.0.1:${secondPort}`)
  await Promise.all([
    start('gateway', 'gateway', ['--port', String(firstPort)]),
    start('gateway', 'other', ['--port', String(secondPort)]),
  ])
  const work = ['taskmanager', 'taskmanager', 'conductor', 'periodic'].map(only => start(only, 'work'))
  await Promise.all([...work, start('host', 'host')])
}, 300_000)

afterAll(async () => {
  for (const { child } of running) child.kill('SIGTERM')
  const codes = await Promise.all(running.map(({ exited }) => exited))
  await rabbit.remove()
  await postgresql.remove()
  const remaining = processesOf(base)
  await wipe(base)
  expect(codes).toEqual(running.map(() => 0))
  expect(remaining).toEqual([])
}, 120_000)

const openSession = (folder: string, gateway: string) => sessionAt(join(base, folder, 'openrc'), gateway)

async function useDatabase({ addresses: [{ address, port = 5432 }] }: Answer['body']): Promise<void> {
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
  client.on('error', () => {})
  await client.connect()
  await client.query('CREATE TABLE items (id int)')
  expect((await client.query('INSERT INTO items VALUES (7) RETURNING id')).rows).toEqual([{ id: 7 }])
  await client.end()
}

describe('separate processes around RabbitMQ and PostgreSQL', () => {
  it('create, use, query and delete an instance', async () => {
    const [first, second] = await Promise.all([
      openSession('gateway', gateways[0]!),
      openSession('other', gateways[1]!),
    ])
    const instance = await createInstance(first, DATABASE)
    await useDatabase(instance)
    // The second gateway queries the agent: the answer comes through the conductor's process.
    const users = await second.call('GET', `/instances/${instance.id}/users`)
    expect(users.body.users.map(({ name }: { name: string }) => name)).toEqual(['ann'])
    await deleteInstance(second, instance.id)
    const brokerUsers = await fetch(`${new URL(rabbit.management).origin}/api/users`, {
      headers: { authorization: `Basic ${Buffer.from(credentialsOf(rabbit.management)).toString('base64')}` },
    }).then(answer => answer.text())
    expect(brokerUsers).toContain('"name":"host-local"')
    expect(brokerUsers).not.toContain(`guest-${instance.id}`)
  }, 300_000)

  it('finish a create although both servers are killed and started again meanwhile', async () => {
    const session = await openSession('gateway', gateways[0]!)
    const created = await session.call('POST', '/instances', {
      instance: { name: 'shop', flavorRef: 1, volume: { size: 1 }, ...DATABASE },
    })
    expect(created.status).toBe(200)
    await Promise.all([rabbit.kill(), postgresql.kill()])
    await Promise.all([rabbit.start(), postgresql.start()])
    await useDatabase(await waitUntilActive(session, created.body.instance.id, WAIT_MS))
    await deleteInstance(session, created.body.instance.id)
  }, 400_000)
})

const credentialsOf = (url: string) => `${new URL(url).username}:${new URL(url).password}`
