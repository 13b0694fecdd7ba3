import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { query } from './api-helpers.ts'
import { ANN, CART, ownCloud } from './cloud.ts'
import { type Answer, createInstance, processesOf, requestInstance, until, waitUntilActive } from './coffer.ts'

const HOSTS = ['local', 'local-2', 'local-3']
const { coffer, demo, alt, admin } = ownCloud(['--hosts', '3', '--ram-mb', '8192', '--spares', '1'])

async function hostView(name: string): Promise<Answer['body']> {
  return (await admin.call('GET', `/mgmt/hosts/${name}`)).body.host
}

/** The names of the instances' hosts. */
async function placesOf(ids: string[]): Promise<string[]> {
  const views = await Promise.all(HOSTS.map(hostView))
  const hostOf = (id: string) => views.find(({ instances }) => instances.some((one: { id: string }) => one.id === id))
  return ids.map(id => hostOf(id)?.name)
}

function daemonOf(host: string): number {
  const folder = join(coffer.dataDir, 'hosts', host)
  const daemon = processesOf(folder).find(({ args }) => args.includes(join('host', 'main.ts')))
  if (!daemon) throw new Error(`no daemon of ${host}`)
  return daemon.pid
}

const showInstance = async (id: string) => (await demo.call('GET', `/instances/${id}`)).body.instance

describe('three hosts on one machine', () => {
  it('share the instances, and one that is silent shows on its instances until it reports again', async () => {
    const created = await Promise.all(Array.from({ length: 9 }, () => requestInstance(demo, CART)))
    const ids = created.map(({ id }) => id)
    await Promise.all(ids.map(id => waitUntilActive(demo, id)))
    const places = await placesOf(ids)
    const counts = HOSTS.map(host => places.filter(place => place === host).length)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(2)

    const pid = daemonOf('local-2')
    process.kill(pid, 'SIGSTOP')
    const lost = ids.filter((_, index) => places[index] === 'local-2')
    try {
      await until('silence', async () => (await hostView('local-2')).silent_since !== null)
      for (const id of lost) {
        const { fault } = await until('fault', async () => {
          const instance = await showInstance(id)
          return instance.status === 'ERROR' && instance
        })
        expect(fault.message).toMatch(/^Host local-2 has not reported since /)
      }
      const others = ids.filter(id => !lost.includes(id))
      for (const id of others) expect((await showInstance(id)).status).toBe('ACTIVE')
      const metrics = await fetch(`${coffer.base}/metrics`).then(answer => answer.text())
      expect(metrics).toContain('coffer_hosts{state="silent"} 1\n')
      const elsewhere = await Promise.all([1, 2, 3].map(() => createInstance(alt, CART)))
      expect(await placesOf(elsewhere.map(({ id }) => id))).not.toContain('local-2')
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    const recovered = await Promise.all(
      lost.map(id =>
        until('recovery', async () => {
          const instance = await showInstance(id)
          return instance.status === 'ACTIVE' && !instance.fault && instance
        }),
      ),
    )
    for (const instance of recovered) expect(await query(instance, ANN, 'SELECT 7 AS n')).toEqual([{ n: 7 }])
    expect((await hostView('local-2')).silent_since).toBeNull()
  }, 120_000)
})
