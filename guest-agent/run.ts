import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { guestSubject } from '../lib/contracts/conductor.ts'
import type { AnyDriver, CertificateVerbs, DriverContext, DriverFactory } from '../lib/datastores/driver.ts'
import type { Log } from '../lib/kit/clock.ts'
import { sealer } from '../lib/kit/crypto/seal.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { freeBytesAt } from '../lib/kit/os/disk.ts'
import { exists } from '../lib/kit/os/files.ts'
import { openSequence } from '../lib/kit/os/sequence.ts'
import { systemClock as clock, systemRandom as random, systemLog } from '../lib/wiring/system.ts'
import { ActiveCredentials } from './active-credentials.ts'
import { AddressClaim, withClaim } from './address-claim.ts'
import { Agent, LEASE_MS } from './agent.ts'
import { keepCertificate } from './certificate.ts'
import { AgentConfig, AgentSite } from './config.ts'
import { connectQueue } from './connect-queue.ts'
import { Enrolment } from './enrolment.ts'
import { type Journal, openJournal } from './journal.ts'
import { Shutdown } from './shutdown.ts'
import { startBeforeEnrolment } from './start-before-enrol.ts'
import { stopMarkIn } from './stop-mark.ts'
import { DatabaseSupervisor } from './supervisor.ts'
import { optimizeBusyAgent } from './v8-flags.ts'
import { VolumeGuard } from './volume-guard.ts'

/** `node guest-agent.mjs <folder>`: SIGTERM stops the database and ends. */
const VERSION = '0.1.0'
const FOLDER_CHECK_MS = 1_000
const LAST_HEARTBEAT_MS = 1_500

const configFileOf = (dir: string) =>
  [`${dir}.config.json`, join(dir, 'config.json')].find(path => existsSync(path)) ?? `${dir}.config.json`
const readConfig = (path: string) => AgentConfig.parse(JSON.parse(readFileSync(path, 'utf8')))
const readSite = (dir: string) => AgentSite.parse(JSON.parse(readFileSync(`${dir}.site.json`, 'utf8')))

type Drivers = Readonly<Record<string, DriverFactory>>

function createDriver(drivers: Drivers, manager: string, context: DriverContext): AnyDriver {
  const create = Object.hasOwn(drivers, manager) ? drivers[manager] : undefined
  if (!create) throw new Error(`no driver for ${manager}`)
  return create(context)
}

/** The first command prepares the database. */
const isPrepared = (journal: Journal) => journal.last() > 0 && !journal.find(1)?.failed

/** Clients must be able to use TLS before the instance counts as prepared. */
function waitForCertificate(driver: AnyDriver, served: Promise<void>): AnyDriver {
  return {
    ...driver,
    async prepare(input) {
      await driver.prepare(input)
      await served
    },
  }
}

/** An agent whose folder was removed ends with its database. */
async function endWithFolder(paths: string[], shutdown: Shutdown): Promise<void> {
  while (!shutdown.signal.aborted) {
    await clock.sleep(FOLDER_CHECK_MS, shutdown.signal)
    for (const path of paths) if (!(await exists(path))) await shutdown.run()
  }
}

/** What everything in this process is set up with. */
interface Setup {
  dir: string
  config: AgentConfig
  drivers: Drivers
  log: Log
  shutdown: Shutdown
}

/** Starts what needs no control plane: the database, and its supervisor. */
async function setUpDatabase({ dir, config, drivers, log, shutdown }: Setup) {
  const journal = await openJournal(join(dir, 'journal'))
  // The driver reads it whenever it starts the server; a change of the machine is assigned to it.
  const context = { ...readSite(dir), clock, random, log }
  const claim = new AddressClaim({ path: `${dir}.address`, clock, log })
  const plainDriver = withClaim(createDriver(drivers, config.datastore.manager, context), claim)
  const prepared = isPrepared(journal)
  const driver = prepared ? plainDriver : startBeforeEnrolment(plainDriver, clock, log)
  const supervisor = new DatabaseSupervisor({ driver, clock, log, stopMark: stopMarkIn(dir) })
  const refresh = async () => void Object.assign(context, readSite(dir))
  const guard = new VolumeGuard({ ...{ driver, supervisor, clock, log }, ...volumeOf(dir) })
  const control = guard.control(supervisor.control(refresh))
  shutdown.add('stop the database', () => supervisor.stop())
  // A prepared database comes back whether or not the control plane can be reached.
  if (prepared) void guard.resume().catch(error => log.error({ error: messageOf(error) }, 'resume failed'))
  void guard.run(shutdown.signal)
  return { journal, driver, supervisor, guard, control }
}

/** How large its volume may get, which can change, and what its disk has left. */
function volumeOf(dir: string) {
  const { volume } = readSite(dir)
  return {
    sizeBytes: () => {
      const { sizeGb } = readSite(dir)
      return sizeGb === undefined ? undefined : sizeGb * 2 ** 30
    },
    freeBytes: () => freeBytesAt(volume),
  }
}

/** Its verbs of TLS, if the datastore has that. */
function certificateVerbs({ tls_key, use_certificate }: AnyDriver): CertificateVerbs | undefined {
  return tls_key && use_certificate && { tls_key, use_certificate }
}

/** Enrols, and connects to the queue. `served` resolves once the database has its certificate, if it needs one. */
async function setUpConnection({ dir, config, log, shutdown: { signal } }: Setup, driver: AnyDriver) {
  const verbs = certificateVerbs(driver)
  const enrolment = await Enrolment.open({ dir, config, clock, log, tlsKey: async () => verbs?.tls_key() })
  const credentials = await ActiveCredentials.obtain(enrolment, clock, signal)
  const parts = { clock, log, signal, current: () => enrolment.current()?.tls, renew: () => enrolment.renew(signal) }
  const served = verbs ? keepCertificate({ driver: verbs, ...parts }).served : Promise.resolve()
  const queue = await connectQueue({
    current: () => credentials.current,
    fresh: () => credentials.fresh(),
    clock,
    random,
    log,
  })
  return { credentials, served, queue }
}

async function run(setup: Setup, onQuery: () => void): Promise<void> {
  const { dir, config, log, shutdown } = setup
  const { journal, driver, supervisor, guard, control } = await setUpDatabase(setup)
  const { credentials, served, queue } = await setUpConnection(setup, driver)
  const { topic, conductor, access } = credentials.current
  const agent = new Agent({
    subject: guestSubject(config.userData.instance),
    generation: config.userData.generation,
    topic,
    conductor,
    queue,
    sealer: sealer(credentials.sealKeys()),
    journal,
    sequence: await openSequence(join(dir, 'sequence.json'), { clock, log }),
    driver: { ...waitForCertificate(driver, served), ...control, used_bytes: () => guard.usedBytes() },
    clock,
    random,
    log,
    version: VERSION,
    ...(access.kind === 'sqs' && { leaseMs: LEASE_MS.sqs }),
    health: () => guard.health(),
    onQuery,
    onSuccess: method => {
      if (method === 'prepare') supervisor.markHealthy()
    },
    onFailure: (method, message) => {
      if (method === 'prepare') supervisor.setHealth({ status: 'failed', message })
    },
  })
  supervisor.listen(() => void agent.heartbeat())
  // The control plane may not be there to receive it.
  shutdown.add('send the last heartbeat', () => Promise.race([agent.heartbeat(), clock.sleep(LAST_HEARTBEAT_MS)]))
  shutdown.add('close the queue', () => queue.close())
  log.info({ pid: process.pid }, 'agent ready')
  await agent.run(shutdown.signal)
}

/** Runs an agent for one of these datastores, by manager, in the folder that the command line names. */
export async function runAgent(drivers: Drivers): Promise<void> {
  const { onQuery } = optimizeBusyAgent()
  const dir = process.argv[2]
  // Without a folder it only fills Node.js's compile cache for the agents to come.
  if (dir === undefined) process.exit(0)
  const configFile = configFileOf(dir)
  const config = readConfig(configFile)
  const log = systemLog('guest-agent', config.logLevel).child({ instance: config.userData.instance })
  const shutdown = new Shutdown(log, () => process.exit(0))
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => void shutdown.run())
  void endWithFolder([dir, configFile], shutdown)
  await run({ dir, config, drivers, log, shutdown }, onQuery).catch(error => {
    // A shutdown also ends an enrolment that is being tried, with its last error.
    if (!shutdown.signal.aborted) throw error
  })
}
