import { readFileSync } from 'node:fs'
import { lstat, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { guestSubject } from '../lib/contracts/conductor.ts'
import type { Driver, Site } from '../lib/datastores/driver.ts'
import { postgresqlDriver } from '../lib/datastores/postgresql/driver.ts'
import { reason } from '../lib/kit/errors.ts'
import { writeAtomically } from '../lib/kit/files.ts'
import { sealer } from '../lib/kit/seal.ts'
import type { Queue } from '../lib/platform/queue/queue.ts'
import { systemClock, systemLog, systemRandom } from '../lib/wiring/system.ts'
import { Agent } from './agent.ts'
import { keepCertificate } from './certificate.ts'
import { compiling } from './compiling.ts'
import { AgentConfig, AgentSite } from './config.ts'
import { startedEarly } from './early-start.ts'
import { enrolment } from './enrolment.ts'
import { journal } from './journal.ts'
import { Machine, type Stopped } from './machine.ts'
import { queueOf } from './queues.ts'

/** `node guest-agent.mjs <folder>`: SIGTERM stops the database and ends. */
const VERSION = '0.1.0'
const DRIVERS: Record<string, (site: Site) => Driver> = { postgresql: site => postgresqlDriver(site) }
const RENEW_BEFORE_MS = 600_000
const KEYS = new Map<string, Uint8Array>()
const VANISHED_MS = 1_000
const LAST_WORD_MS = 1_500

const { asked } = compiling()
const dir = process.argv[2]
// Started once so: what Node.js compiled is kept for the agents to come.
if (dir === undefined) process.exit(0)
const config = AgentConfig.parse(JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')))
const { instance, generation } = config.userData
const log = systemLog('guest-agent', config.logLevel).child({ instance })
const clock = systemClock
const makeDriver = DRIVERS[config.datastore.manager]
if (!makeDriver) throw new Error(`no driver for ${config.datastore.manager}`)
const stopping = new AbortController()
let agent: Agent | undefined
let queue: Queue | undefined
const done = await journal(join(dir, 'journal'))
const readSite = () => AgentSite.parse(JSON.parse(readFileSync(`${dir}.site.json`, 'utf8')))
// The driver looks at it anew whenever it starts the server.
const site = { ...readSite(), clock, random: systemRandom, log }
const plain = makeDriver(site)
const prepared = done.last() > 0 && !done.find(1)?.failed
const driver = prepared ? plain : startedEarly(plain, clock, log)
const machine = new Machine(driver, clock, log, () => void agent?.heartbeat(), stoppedIn(dir))
const service = machine.service(async () => void Object.assign(site, readSite()))

process.on('SIGTERM', () => void finish())
process.on('SIGINT', () => void finish())
void watchFolder(dir)

// A database that was prepared before comes back whether or not the control plane is there.
if (prepared) void machine.resume().catch(error => log.error({ error: reason(error) }, 'not resumed'))
const enrolled = await enrolment(dir, config, clock, log, () => driver.tls_key())
let credentials = enrolled.current() ?? (await enrolled.renewed(stopping.signal))

const { served } = keepCertificate({
  driver,
  clock,
  log,
  signal: stopping.signal,
  current: () => enrolled.current()?.tls,
  renew: () => enrolled.renewed(stopping.signal),
})

/** Good for a while yet. */
const renewed = async () => {
  if (credentials.expires - clock.now() < RENEW_BEFORE_MS) credentials = await enrolled.renewed(stopping.signal)
  return credentials
}
const current = () => credentials
queue = await queueOf(current().access.kind, { current, renewed, clock, random: systemRandom, log })
const key = async (_kid: string, _subject: string, _generation: number, direction: 'down' | 'up') =>
  bytesOf(credentials.keys[direction])

agent = new Agent({
  subject: guestSubject(instance),
  generation,
  topic: credentials.topic,
  conductor: credentials.conductor,
  queue,
  sealer: sealer({ kid: async () => credentials.kid, key }),
  journal: done,
  driver: { ...certified(driver), ...service },
  clock,
  random: systemRandom,
  log,
  version: VERSION,
  health: () => machine.health,
  asked,
  succeeded: method => {
    if (method === 'prepare') machine.serving()
  },
  failed: (method, message) => {
    if (method === 'prepare') machine.set({ status: 'failed', message })
  },
})
log.info({ pid: process.pid }, 'agent ready')
await agent.run(stopping.signal)

/** The same bytes for the same text, for what is prepared for their use once. */
function bytesOf(text: string): Uint8Array {
  const known = KEYS.get(text) ?? new Uint8Array(Buffer.from(text, 'base64url'))
  KEYS.set(text, known)
  return known
}

/** The driver; an instance is not said to be prepared before its clients can come by TLS. */
function certified(plain: Driver): Driver {
  return {
    ...plain,
    async prepare(input) {
      await plain.prepare(input)
      await served
    },
  }
}

async function finish(): Promise<void> {
  if (stopping.signal.aborted) return
  stopping.abort()
  await machine.stop().catch(error => log.error({ error: reason(error) }, 'the database did not stop cleanly'))
  // The last word; nobody may be there to hear it.
  await Promise.race([agent?.heartbeat(), clock.sleep(LAST_WORD_MS)])
  await queue?.close()
  process.exit(0)
}

/** A file of that folder says that the database was stopped; a reboot removes it. */
function stoppedIn(folder: string): Stopped {
  const mark = join(folder, 'stopped')
  return {
    is: () =>
      lstat(mark).then(
        () => true,
        () => false,
      ),
    set: stopped => (stopped ? writeAtomically(mark, '') : rm(mark, { force: true })),
  }
}

/** Nothing may go on running whose folder was removed. */
async function watchFolder(folder: string): Promise<void> {
  while (!stopping.signal.aborted) {
    await clock.sleep(VANISHED_MS, stopping.signal)
    const there = await lstat(join(folder, 'config.json')).catch(() => undefined)
    if (!there) await finish()
  }
}
