import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import {
  type Answer,
  active,
  createInstance,
  deleteInstance,
  login,
  processesOf,
  type Session,
  type Started,
  startedAs,
  tempDir,
  until,
  wipe,
} from '../e2e/coffer.ts'
import { newServer, type Server } from '../platform/store/postgresql-server.ts'
import { newRabbit, type RabbitServer } from './rabbitmq-server.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const WAIT_MS = 240_000
const USERS = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}

let base: string
let rabbit: RabbitServer
let postgresql: Server
const running: Started[] = []
const gateways: string[] = []

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })
}

/** One process of the control plane, once it is ready. */
async function serve(only: string, folder: string, publicUrl: string, port = 0): Promise<Started> {
  const args = ['--only', only, '--data-dir', join(base, folder), '--port', String(port), '--rate', '0']
  const child: ChildProcess = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(ROOT, 'local', 'serve.ts'), ...args],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        COFFER_POSTGRESQL_URL: postgresql.url,
        COFFER_RABBITMQ_URL: rabbit.url,
        COFFER_RABBITMQ_MANAGEMENT_URL: rabbit.management,
        COFFER_KEY_FILE: join(base, 'master.key'),
        PUBLIC_URL: publicUrl,
      },
    },
  )
  const started = startedAs(child)
  running.push(started)
  await until(
    `ready line of ${only}`,
    async () => {
      if (child.exitCode !== null) throw new Error(`${only} ended:\n${started.output()}`)
      return started.output().includes('\nready ') || started.output().startsWith('ready ')
    },
    WAIT_MS,
  )
  return started
}

beforeAll(async () => {
  base = tempDir()
  for (const folder of ['gateway', 'other', 'work', 'host']) mkdirSync(join(base, folder), { mode: 0o755 })
  ;[rabbit, postgresql] = await Promise.all([newRabbit(), newServer()])
  const [one = 0, other = 0] = await Promise.all([freePort(), freePort()])
  gateways.push(`http://127.0.0.1:${one}`, `http://127.0.0.1:${other}`)
  const url = gateways[0]!
  await Promise.all([serve('gateway', 'gateway', url, one), serve('gateway', 'other', url, other)])
  const work = ['taskmanager', 'taskmanager', 'conductor', 'periodic'].map(only => serve(only, 'work', url))
  await Promise.all([...work, serve('host', 'host', url)])
}, 300_000)

afterAll(async () => {
  for (const { child } of running) child.kill('SIGTERM')
  const codes = await Promise.all(running.map(({ exited }) => exited))
  await rabbit.remove()
  await postgresql.remove()
  const left = processesOf(base)
  await wipe(base)
  expect(codes).toEqual(running.map(() => 0))
  expect(left).toEqual([])
}, 120_000)

/** A session at one of the gateways; its links lead to the first. */
async function sessionAt(folder: string, gateway: string): Promise<Session> {
  const session = await login(join(base, folder, 'openrc'))
  return {
    ...session,
    call: (method, path, body, headers) =>
      session.call(method, path.startsWith('http') ? path : `${gateway}/v1.0/${session.project}${path}`, body, {
        'x-auth-token': session.token,
        ...headers,
      }),
  }
}

async function used({ addresses: [{ address, port = 5432 }] }: Answer['body']): Promise<void> {
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
  client.on('error', () => {})
  await client.connect()
  await client.query('CREATE TABLE items (id int)')
  expect((await client.query('INSERT INTO items VALUES (7) RETURNING id')).rows).toEqual([{ id: 7 }])
  await client.end()
}

describe('separate processes around RabbitMQ and PostgreSQL', () => {
  it('create, use, ask and delete an instance', async () => {
    const [one, other] = await Promise.all([sessionAt('gateway', gateways[0]!), sessionAt('other', gateways[1]!)])
    const instance = await createInstance(one, USERS)
    await used(instance)
    // A question to the agent, asked by the other gateway: the answer comes by the conductor's process.
    const users = await other.call('GET', `/instances/${instance.id}/users`)
    expect(users.body.users.map(({ name }: { name: string }) => name)).toEqual(['ann'])
    await deleteInstance(other, instance.id)
    const left = await fetch(`${new URL(rabbit.management).origin}/api/users`, {
      headers: { authorization: `Basic ${Buffer.from(userOf(rabbit.management)).toString('base64')}` },
    }).then(answer => answer.text())
    expect(left).toContain('"name":"host-local"')
    expect(left).not.toContain(`guest-${instance.id}`)
  }, 300_000)

  it('end a create in ACTIVE whose servers were both killed and started again meanwhile', async () => {
    const session = await sessionAt('gateway', gateways[0]!)
    const asked = await session.call('POST', '/instances', {
      instance: { name: 'shop', flavorRef: 1, volume: { size: 1 }, ...USERS },
    })
    expect(asked.status).toBe(200)
    await Promise.all([rabbit.kill(), postgresql.kill()])
    await Promise.all([rabbit.start(), postgresql.start()])
    await used(await activeAfterAll(session, asked.body.instance.id))
    await deleteInstance(session, asked.body.instance.id)
  }, 400_000)
})

const userOf = (url: string) => `${new URL(url).username}:${new URL(url).password}`

const activeAfterAll = (session: Session, id: string) => active(session, id, WAIT_MS)
