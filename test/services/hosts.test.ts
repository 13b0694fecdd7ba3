import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { freePort } from '../../localstack/emulator.ts'
import { query } from '../e2e/api-helpers.ts'
import { ANN, CART } from '../e2e/cloud.ts'
import {
  type Answer,
  createInstance,
  type LaunchedProcess,
  processesOf,
  requestInstance,
  type Session,
  until,
  waitUntilActive,
  wipe,
} from '../e2e/coffer.ts'
import { tempDir } from '../e2e/temp-dir.ts'
import { newServer } from '../platform/store/postgresql/server.ts'
import { type ControlPlane, sessionAt, startComponent } from './components.ts'
import { startRabbit } from './rabbitmq-server.ts'

const WAIT_MS = 300_000
/** Memory in MB by host. */
const HOSTS = { a: 10_240, b: 6_144, c: 4_096 }
const NAMES = Object.keys(HOSTS) as (keyof typeof HOSTS)[]

let plane: ControlPlane
let gateway: LaunchedProcess
const running = new Map<string, LaunchedProcess>()
let demo: Session
let admin: Session

const startHost = async (name: keyof typeof HOSTS) => {
  const args = ['--host-id', name, '--ram-mb', String(HOSTS[name]), '--spares', '0']
  running.set(name, await startComponent(plane, 'host', name, args))
}

beforeAll(async () => {
  const base = tempDir()
  for (const folder of ['gateway', 'work', ...NAMES]) mkdirSync(join(base, folder), { mode: 0o755 })
  const [rabbit, postgresql, port] = await Promise.all([startRabbit(), newServer(), freePort()])
  plane = { base, publicUrl: `http://127.0.0.1:${port}`, rabbit, postgresql }
  gateway = await startComponent(plane, 'gateway', 'gateway', ['--port', String(port)])
  running.set('gateway', gateway)
  const work = ['taskmanager', 'conductor', 'periodic'].map(async only => {
    running.set(only, await startComponent(plane, only, 'work'))
  })
  await Promise.all([...work, ...NAMES.map(startHost)])
  demo = await sessionAt(join(base, 'gateway', 'openrc'), plane.publicUrl)
  admin = await sessionAt(join(base, 'gateway', 'openrc-admin'), plane.publicUrl)
  const quotas = { quotas: { instances: 100, volumes: 100 } }
  expect((await admin.call('PUT', `/mgmt/quotas/${demo.project}`, quotas)).status).toBe(200)
}, 300_000)

afterAll(async () => {
  for (const { child } of running.values()) child.kill('SIGTERM')
  const codes = await Promise.all([...running.values()].map(({ exited }) => exited))
  await plane.rabbit.remove()
  await plane.postgresql.remove()
  const remaining = processesOf(plane.base)
  await wipe(plane.base)
  expect(codes).toEqual([...running].map(() => 0))
  expect(remaining).toEqual([])
}, 180_000)

const hostView = async (name: string): Promise<Answer['body']> =>
  (await admin.call('GET', `/mgmt/hosts/${name}`)).body.host
const idsOn = async (name: string): Promise<string[]> =>
  (await hostView(name)).instances.map(({ id }: { id: string }) => id)
const showInstance = async (id: string): Promise<Answer['body']> =>
  (await demo.call('GET', `/instances/${id}`)).body.instance

/** Kills the launcher, the daemon, the agents and the databases of a host, as if its machine had lost its power. */
async function loseHost(name: string): Promise<void> {
  const launcher = running.get(name)
  running.delete(name)
  launcher?.child.kill('SIGKILL')
  await launcher?.exited
  const folder = join(plane.base, name)
  await until('end of the host', async () => {
    const remaining = processesOf(folder)
    for (const { pid } of remaining) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // The process has ended by itself.
      }
    }
    return remaining.length === 0
  })
}

describe('three hosts around RabbitMQ and PostgreSQL', () => {
  it('share 30 creates by their free memory', async () => {
    const created = await Promise.all(Array.from({ length: 30 }, () => requestInstance(demo, CART)))
    await Promise.all(created.map(({ id }) => waitUntilActive(demo, id, WAIT_MS)))
    const views = await Promise.all(NAMES.map(hostView))
    expect(views.reduce((sum, { instances }) => sum + instances.length, 0)).toBe(30)
    const free = views.map(({ totalRAM, usedRAM }) => totalRAM - usedRAM)
    expect(Math.max(...free) - Math.min(...free)).toBeLessThanOrEqual(1_024)
    for (const { usedRAM, instances } of views) expect(usedRAM).toBe(512 * instances.length)
  }, 400_000)

  it('do without one that is lost, and with it again when it is back', async () => {
    const ids = await idsOn('b')
    await loseHost('b')
    await until('silence', async () => (await hostView('b')).silent_since !== null)
    for (const id of ids) {
      const { fault } = await until('fault', async () => {
        const instance = await showInstance(id)
        return instance.status === 'ERROR' && instance
      })
      expect(fault.message).toMatch(/^Host b has not reported since /)
    }
    const metrics = await fetch(`${plane.publicUrl}/metrics`).then(answer => answer.text())
    expect(metrics).toContain('coffer_hosts{state="silent"} 1\n')
    expect(metrics).toContain('coffer_hosts{state="active"} 2\n')
    await Promise.all([createInstance(demo, CART), createInstance(demo, CART)])
    expect(await idsOn('b')).toEqual(ids)

    await startHost('b')
    const healthy = (id: string) =>
      until(
        `recovery of ${id}`,
        async () => {
          const instance = await showInstance(id)
          const isWell = instance.status === 'ACTIVE' && instance.operating_status === 'HEALTHY' && !instance.fault
          return isWell && instance
        },
        WAIT_MS,
      )
    const [instance] = await Promise.all(ids.map(healthy))
    // Its agent's report of before is still valid while the database starts.
    const rows = await until('connection', () => query(instance, ANN, 'SELECT 7 AS n').catch(() => undefined))
    expect(rows).toEqual([{ n: 7 }])
    expect((await hostView('b')).silent_since).toBeNull()
  }, 400_000)
})
