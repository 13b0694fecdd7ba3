import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { ANN, CART } from './cloud.ts'
import {
  createInstance,
  deleteInstance,
  processesOf,
  type Session,
  startCoffer,
  until,
  waitUntilActive,
  wipe,
} from './coffer.ts'
import { agentPids, connect } from './fault-injection.ts'
import { tempDir } from './temp-dir.ts'

/** A disk that can be filled: a tmpfs. Where it may not be mounted, these tests are skipped. */
const mounts = process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0
const withDisk = mounts && tryMount() ? it : it.skip

function tryMount(): boolean {
  const dir = tempDir()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]).status === 0
  if (mounted) spawnSync('umount', [dir])
  rmSync(dir, { recursive: true, force: true })
  return mounted
}

let dir: string
let mounted: string[]
let fillers: (() => void)[]
beforeEach(() => {
  dir = tempDir()
  mounted = []
  fillers = []
})
afterEach(async () => {
  for (const free of fillers) free()
  await wipe(dir).catch(() => {})
  for (const path of mounted) spawnSync('umount', ['-l', path])
  rmSync(dir, { recursive: true, force: true })
}, 60_000)

function mount(path: string, size: string): void {
  mkdirSync(path, { recursive: true })
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0711`, 'tmpfs', path])
  if (status !== 0) throw new Error(String(stderr))
  mounted.push(path)
}

/** Takes all space, also what becomes free later. Returns how to give it back. */
function fillDisk(path: string): () => void {
  const file = openSync(path, 'w')
  const fill = () => {
    for (const size of [1 << 20, 1 << 12]) {
      try {
        for (;;) writeSync(file, Buffer.alloc(size))
      } catch {
        // Full for pieces of this size.
      }
    }
  }
  fill()
  const timer = setInterval(fill, 5)
  const free = () => {
    clearInterval(timer)
    closeSync(file)
    rmSync(path)
    fillers = fillers.filter(other => other !== free)
  }
  fillers.push(free)
  return free
}

const FULL = 'The disk of this service is full. Until there is space, deletes and logins are the only changes.'
const showInstance = (demo: Session, id: string) => demo.call('GET', `/instances/${id}`)

describe('a full disk', () => {
  withDisk(
    "of an instance's volume is shown as a fault; with space and a restart the instance is back",
    async () => {
      let coffer = await startCoffer(join(dir, 'data'))
      const { id } = await createInstance(await coffer.login(), CART)
      expect(await coffer.stop()).toBe(0)
      const volume = join(coffer.dataDir, 'volumes', `volume-${id}-1`)
      renameSync(volume, `${volume}.old`)
      mount(volume, '120m')
      spawnSync('cp', ['-a', `${volume}.old/.`, volume])
      rmSync(`${volume}.old`, { recursive: true })
      coffer = await startCoffer(coffer.dataDir)
      const demo = await coffer.login()
      const created = await waitUntilActive(demo, id)
      const [agent] = agentPids(coffer)
      const session = await connect(created)
      const free = fillDisk(join(volume, 'filler'))
      await expect(
        session.query("CREATE TABLE big AS SELECT repeat('x', 100) FROM generate_series(1, 1000000)"),
      ).rejects.toMatchObject({ code: '53100' })
      await session.end()
      const full = await until('use', async () => {
        const { instance } = (await showInstance(demo, id)).body
        return instance.volume.used > 0.1 && instance
      })
      expect(full).toMatchObject({ operating_status: 'HEALTHY', volume: { size: 1, used: 0.12 } })
      // Without space the database cannot restart.
      const [server] = processesOf(volume).filter(({ args }) => args.includes('/bin/postgres -D'))
      process.kill(server?.pid ?? 0, 'SIGKILL')
      const ill = await until('state', async () => {
        const { instance } = (await showInstance(demo, id)).body
        return instance.operating_status === 'FAILED' && instance
      })
      expect(ill.fault.message).toMatch(/no space left on device/i)
      expect([coffer.output(), agentPids(coffer)]).toEqual([expect.not.stringMatching(/^coffer:/m), [agent]])
      free()
      expect(await coffer.stop()).toBe(0)
      coffer = await startCoffer(coffer.dataDir)
      await (await connect(await waitUntilActive(await coffer.login(), id))).end()
      expect(await coffer.stop()).toBe(0)
    },
    120_000,
  )

  withDisk(
    'of the cloud itself ends neither logins nor deletes; all else that changes is refused until there is space',
    async () => {
      const dataDir = join(dir, 'data')
      mount(dataDir, '700m')
      const coffer = await startCoffer(dataDir)
      const demo = await coffer.login()
      const [victim, deleted] = await Promise.all([createInstance(demo, CART), createInstance(demo, CART)])
      const before = await connect(victim, ANN)
      await before.query("CREATE TABLE orders AS SELECT 'paid' AS state FROM generate_series(1, 1000)")
      await before.end()
      const free = fillDisk(join(dataDir, 'filler'))
      const health = () => demo.call('GET', `${coffer.base}/healthz`)
      const body = { instance: { name: 'more', flavorRef: 1, volume: { size: 1 } } }
      const create = () => demo.call('POST', '/instances', body)
      // The database of this one may have taken the last block just now.
      const again = await coffer.login()
      expect((await create()).body).toEqual({ insufficientStorage: { code: 507, message: FULL } })
      const xml = await demo.call('POST', '/instances', body, { Accept: 'application/xml' })
      expect([xml.status, xml.text]).toEqual([507, expect.stringMatching(/<insufficientStorage [^>]*code="507"/)])
      expect((await again.call('POST', `/instances/${victim.id}/action`, { restart: {} })).status).toBe(507)
      expect([(await health()).status, (await health()).text]).toEqual([503, expect.stringContaining(FULL)])
      expect((await showInstance(demo, victim.id)).status).toBe(200)
      await deleteInstance(again, deleted.id)
      expect((await again.call('GET', '/instances')).body.instances.map(({ id }: { id: string }) => id)).toEqual([
        victim.id,
      ])
      expect((await create()).status).toBe(507)
      expect(coffer.output()).not.toMatch(/^coffer:/m)
      free()
      await until('health', async () => (await health()).status === 200)
      const extra = await createInstance(demo)
      const after = await connect(await waitUntilActive(demo, victim.id), ANN)
      const { rows } = await after.query('SELECT state, count(*)::int FROM orders GROUP BY state')
      expect(rows).toEqual([{ state: 'paid', count: 1_000 }])
      await after.end()
      await deleteInstance(demo, extra.id)
      await deleteInstance(demo, victim.id)
      expect(await coffer.stop()).toBe(0)
    },
    120_000,
  )

  withDisk(
    'of the cloud is survived by an end and by a kill: with space the next start has all data',
    async () => {
      const dataDir = join(dir, 'data')
      mount(dataDir, '700m')
      let coffer = await startCoffer(dataDir)
      const { id } = await createInstance(await coffer.login(), CART)
      for (const end of ['stop', 'kill'] as const) {
        const free = fillDisk(join(dataDir, 'filler'))
        await coffer[end]()
        free()
        coffer = await startCoffer(dataDir)
        await (await connect(await waitUntilActive(await coffer.login(), id), ANN)).end()
      }
      expect(await coffer.stop()).toBe(0)
    },
    120_000,
  )
})
