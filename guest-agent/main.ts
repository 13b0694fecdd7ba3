import { readFileSync } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { guestSubject } from '../lib/contracts/conductor.ts'
import type { Driver, Site } from '../lib/datastores/driver.ts'
import { postgresqlDriver } from '../lib/datastores/postgresql/driver.ts'
import { sealer } from '../lib/kit/seal.ts'
import type { Queue } from '../lib/platform/queue/queue.ts'
import { socketQueue } from '../lib/platform/queue/socket-client.ts'
import { systemClock, systemLog, systemRandom } from '../lib/wiring/system.ts'
import { Agent } from './agent.ts'
import { AgentConfig } from './config.ts'
import { enrolment } from './enrolment.ts'
import { journal } from './journal.ts'
import { Machine } from './machine.ts'

/** `node guest-agent.mjs <folder>`: SIGTERM stops the database and ends. */
const VERSION = '0.1.0'
const DRIVERS: Record<string, (site: Site) => Driver> = { postgresql: site => postgresqlDriver(site) }
const RENEW_BEFORE_MS = 600_000
const VANISHED_MS = 2_000

const dir = process.argv[2] ?? ''
const config = AgentConfig.parse(JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')))
const { instance, generation } = config.userData
const log = systemLog('guest-agent', config.logLevel).child({ instance })
const clock = systemClock
const makeDriver = DRIVERS[config.datastore.manager]
if (!makeDriver) throw new Error(`no driver for ${config.datastore.manager}`)
const driver = makeDriver({ ...config.site, clock, random: systemRandom, log })
const stopping = new AbortController()
const done = await journal(join(dir, 'journal'))
const machine = new Machine(driver, clock, log, () => void agent?.heartbeat())
let agent: Agent | undefined
let queue: Queue | undefined

process.on('SIGTERM', () => void finish())
process.on('SIGINT', () => void finish())

const enrolled = await enrolment(dir, config, clock, log)
let credentials = enrolled.current() ?? (await enrolled.renewed(stopping.signal))

queue = socketQueue({
  path: () => credentials.access.address,
  async token() {
    if (credentials.expires - clock.now() < RENEW_BEFORE_MS) credentials = await enrolled.renewed(stopping.signal)
    return credentials.access.token
  },
  clock,
  log,
})
const key = async (_kid: string, _subject: string, _generation: number, direction: 'down' | 'up') =>
  new Uint8Array(Buffer.from(credentials.keys[direction], 'base64url'))

agent = new Agent({
  subject: guestSubject(instance),
  generation,
  topic: credentials.topic,
  conductor: credentials.conductor,
  queue,
  sealer: sealer({ kid: async () => credentials.kid, key }),
  journal: done,
  driver,
  clock,
  random: systemRandom,
  log,
  version: VERSION,
  health: () => machine.health,
  succeeded: method => {
    if (method === 'prepare') machine.serving()
  },
  failed: (method, message) => {
    if (method === 'prepare') machine.set({ status: 'failed', message })
  },
})
log.info({ pid: process.pid }, 'agent ready')
// A database that was prepared before comes back before anything else is asked of it.
const resumed = done.last() > 0 && !done.find(1)?.failed ? machine.resume() : Promise.resolve()
void resumed.catch(error => log.error({ error: String(error) }, 'not resumed'))
void watchFolder()
await agent.run(stopping.signal)

async function finish(): Promise<void> {
  if (stopping.signal.aborted) return
  stopping.abort()
  await machine.stop().catch(error => log.error({ error: String(error) }, 'the database did not stop cleanly'))
  await agent?.heartbeat()
  await queue?.close()
  process.exit(0)
}

/** Nothing may go on running whose folder was removed. */
async function watchFolder(): Promise<void> {
  while (!stopping.signal.aborted) {
    await clock.sleep(VANISHED_MS, stopping.signal)
    const there = await lstat(join(dir, 'config.json')).catch(() => undefined)
    if (!there) await finish()
  }
}
