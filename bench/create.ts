import { readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { prepareRuntime } from '../agent-bundle/runtime.ts'
import { DRIVERS } from '../lib/datastores/drivers.ts'
import { MACHINES } from '../lib/datastores/machines.ts'
import { DEFAULT_DATASTORE, MANIFESTS } from '../lib/datastores/manifests.ts'
import { systemClock, systemLog, systemRandom } from '../lib/wiring/system.ts'
import {
  type Coffer,
  createInstance,
  deleteInstance,
  type Session,
  startCoffer,
  until,
  wipe,
} from '../test/e2e/coffer.ts'
import { tempDir } from '../test/e2e/temp-dir.ts'
import { measureMs, type Note } from './table.ts'

const CREATES = 10
/** The body of a create with a database and its user. */
export const ANN = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}

/**
 * Creates an instance with a real server, from the request to the first connection; and measures what that takes at
 * least.
 */
export async function benchCreate(note: Note): Promise<void> {
  const coffer = await startCoffer()
  await measureCreates(coffer, await coffer.login(), note)
  await coffer.stop()
  await measureFloor(coffer.dataDir, note)
  await wipe(coffer.dataDir)
}

async function measureCreates(coffer: Coffer, demo: Session, note: Note): Promise<void> {
  const times: number[] = []
  for (let run = 0; run < CREATES; run++) {
    await waitForSpares(coffer)
    let id = ''
    times.push(
      await measureMs(async () => {
        const instance = await createInstance(demo, ANN)
        id = instance.id
        await connect(instance)
      }),
    )
    await deleteInstance(demo, id)
  }
  note('create → ACTIVE, a connection accepted', times)
}

async function connect(instance: { addresses: { address: string; port?: number }[] }): Promise<void> {
  const [{ address, port = 0 } = { address: '' }] = instance.addresses
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
  await client.connect()
  await client.end()
}

/** Waits for both spare volumes: a create is to be measured with one, as in normal use. */
export async function waitForSpares(coffer: Coffer): Promise<void> {
  const ready = () => readdirSync(join(coffer.dataDir, 'spares')).filter(name => name.startsWith('ready-')).length >= 2
  await until('spares', async () => ready(), 120_000)
}

/** The least that a create takes: an initialised volume of the same engine is moved to its place and started. */
async function measureFloor(dataDir: string, note: Note): Promise<void> {
  // The engine may refuse to run as root. Another user may not be able to enter the project's folder, only the data
  // directory.
  const root = process.getuid?.() === 0
  const owner = root ? { uid: 65_534, gid: 65_534 } : undefined
  const { engines } = await prepareRuntime(dataDir, root)
  const engine = engines[DEFAULT_DATASTORE]?.[MANIFESTS[DEFAULT_DATASTORE].defaultVersion] ?? ''
  const dir = tempDir()
  const parts = { clock: systemClock, random: systemRandom, log: systemLog('bench', 'silent') }
  const times: number[] = []
  for (let run = 0; run < CREATES; run++) {
    const volume = join(dir, `v${run}`)
    await MACHINES[DEFAULT_DATASTORE].initVolume({ engine, dir: `${volume}.spare`, ...owner })
    const site = {
      volume,
      engine,
      address: '127.9.9.9',
      port: MANIFESTS[DEFAULT_DATASTORE].port,
      flavor: { ramMb: 512, vcpus: 1 },
    }
    const driver = DRIVERS[DEFAULT_DATASTORE]({ ...site, ...parts, owner })
    const takeAndStart = async () => {
      renameSync(`${volume}.spare`, volume)
      await driver.start()
    }
    times.push(await measureMs(takeAndStart))
    await driver.stop()
  }
  note('floor of that: take a spare volume and start the server', times)
  rmSync(dir, { recursive: true, force: true })
}
