import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import {
  type Answer,
  active,
  type Coffer,
  createInstance,
  deleteInstance,
  processesOf,
  type Session,
  startCoffer,
  tempDir,
  until,
  wipe,
} from './coffer.ts'

/** A disk of its own that can be full: a tmpfs. Where this may not be mounted there is nothing to test here. */
const mounts = process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0
const withDisk = mounts && tryMount() ? it : it.skip

function tryMount(): boolean {
  const dir = tempDir()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]).status === 0
  if (mounted) spawnSync('umount', [dir])
  rmSync(dir, { recursive: true, force: true })
  return mounted
}

const USERS = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}

let dir: string
let mounted: string[]
beforeEach(() => {
  dir = tempDir()
  mounted = []
})
afterEach(async () => {
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

/** Takes all the space that there is, and at once what becomes free; answers how to give it back. */
function hog(path: string): () => void {
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
  return () => {
    clearInterval(timer)
    closeSync(file)
    rmSync(path)
  }
}

async function connected({ addresses: [{ address, port = 5432 }] }: Answer['body']): Promise<pg.Client> {
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
  client.on('error', () => {})
  await client.connect()
  return client
}

const shown = (demo: Session, id: string) => demo.call('GET', `/instances/${id}`)

function agentsOf({ dataDir }: Coffer): number[] {
  return processesOf(dataDir)
    .filter(({ args }) => args.includes('guest-agent.mjs'))
    .map(({ pid }) => pid)
}

describe('a full disk', () => {
  withDisk(
    "of an instance's volume shows on the instance; with space again and a start it is back",
    async () => {
      let coffer = await startCoffer(join(dir, 'data'))
      const { id } = await createInstance(await coffer.login(), USERS)
      expect(await coffer.stop()).toBe(0)
      const volume = join(coffer.dataDir, 'volumes', `volume-${id}-1`)
      renameSync(volume, `${volume}.old`)
      mount(volume, '120m')
      spawnSync('cp', ['-a', `${volume}.old/.`, volume])
      rmSync(`${volume}.old`, { recursive: true })
      coffer = await startCoffer(coffer.dataDir)
      const demo = await coffer.login()
      const made = await active(demo, id)
      const [agent] = agentsOf(coffer)
      const session = await connected(made)
      const free = hog(join(volume, 'filler'))
      await expect(
        session.query("CREATE TABLE big AS SELECT repeat('x', 100) FROM generate_series(1, 1000000)"),
      ).rejects.toMatchObject({ code: '53100' })
      await session.end()
      const full = await until('use', async () => {
        const { instance } = (await shown(demo, id)).body
        return instance.volume.used > 0.1 && instance
      })
      expect(full).toMatchObject({ operating_status: 'HEALTHY', volume: { size: 1, used: 0.12 } })
      // Without space it does not come back from its death.
      const [server] = processesOf(volume).filter(({ args }) => args.includes('/bin/postgres -D'))
      process.kill(server?.pid ?? 0, 'SIGKILL')
      const ill = await until('state', async () => {
        const { instance } = (await shown(demo, id)).body
        return instance.operating_status === 'FAILED' && instance
      })
      expect(ill.fault.message).toMatch(/no space left on device/i)
      expect([coffer.output(), agentsOf(coffer)]).toEqual([expect.not.stringMatching(/^coffer:/m), [agent]])
      free()
      expect(await coffer.stop()).toBe(0)
      coffer = await startCoffer(coffer.dataDir)
      await (await connected(await active(await coffer.login(), id))).end()
      expect(await coffer.stop()).toBe(0)
    },
    120_000,
  )

  withDisk(
    'under everything is survived: reads go on, and all works again with space',
    async () => {
      const dataDir = join(dir, 'data')
      mount(dataDir, '600m')
      const coffer = await startCoffer(dataDir)
      const demo = await coffer.login()
      const made = await createInstance(demo, USERS)
      const before = agentsOf(coffer)
      const free = hog(join(dataDir, 'filler'))
      expect((await shown(demo, made.id)).status).toBe(200)
      const asked = await demo.call('POST', '/instances', {
        instance: { name: 'more', flavorRef: 1, volume: { size: 1 } },
      })
      // Taken or not, as the store found room in its own files.
      expect([200, 500]).toContain(asked.status)
      expect((await demo.call('GET', '/instances')).status).toBe(200)
      expect(coffer.output()).not.toMatch(/^coffer:/m)
      free()
      for (const { id } of (await demo.call('GET', '/instances')).body.instances) {
        const ended = async () => ['ACTIVE', 'ERROR'].includes((await shown(demo, id)).body.instance.status)
        await until('end of every create', ended)
        if (id !== made.id) await deleteInstance(demo, id)
      }
      const more = await createInstance(demo)
      expect((await demo.call('POST', `/instances/${made.id}/databases`, { databases: [{ name: 'x' }] })).status).toBe(
        202,
      )
      expect(agentsOf(coffer)).toEqual(expect.arrayContaining(before))
      await active(demo, made.id)
      await deleteInstance(demo, more.id)
      await deleteInstance(demo, made.id)
      expect(await coffer.stop()).toBe(0)
    },
    120_000,
  )
})
