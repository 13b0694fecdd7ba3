import { readFileSync } from 'node:fs'
import { MACHINES } from '../lib/datastores/machines.ts'
import { MANIFESTS } from '../lib/datastores/manifests.ts'
import { sealer } from '../lib/kit/crypto/seal.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { processRef } from '../lib/kit/os/process.ts'
import { openSequence } from '../lib/kit/os/sequence.ts'
import { systemClock as clock, systemRandom as random, systemLog } from '../lib/wiring/system.ts'
import { HostConfig } from './config.ts'
import { detectConfinement } from './confinement.ts'
import { connectQueue } from './connect-queue.ts'
import { Daemon } from './daemon.ts'
import { ownershipOf, sequenceFile, takeDataDir } from './data-dir.ts'
import { Reports } from './reports.ts'
import { receiveRequests } from './requests.ts'
import { hostSealKeys } from './seal-keys.ts'

/**
 * `node host/main.ts <host.json>`: SIGTERM stops all instances, SIGUSR2 ends this daemon alone and its successor takes
 * over.
 * With `--stop` it stops the instances that a killed daemon left running.
 */
const configPath = process.argv[2] ?? ''
const stopsOnly = process.argv[3] === '--stop'
const readConfig = () => HostConfig.parse(JSON.parse(readFileSync(configPath, 'utf8')))

const config = readConfig()
const log = systemLog('host', config.logLevel)
const seals = sealer(hostSealKeys(readConfig, log))
const queue = await connectQueue({ readConfig, clock, random, log })
const sequence = await openSequence(sequenceFile(config.dataDir), { clock, log })
const reports = new Reports({ config, queue, sealer: seals, sequence, clock, random, log })
const stopping = new AbortController()
const confinement = await detectConfinement(config.firstUid)
const daemon = new Daemon({
  config,
  confinement,
  manifests: MANIFESTS,
  machines: MACHINES,
  clock,
  random,
  log,
  report: (method, part, state) => reports.send(method, { ...part, state }),
  ownership: () => ownershipOf(config.dataDir, process.pid),
  onEnd: how => void finish(how),
})

async function finish(how: 'close' | 'stop'): Promise<void> {
  if (stopping.signal.aborted) return
  stopping.abort()
  await daemon[how]().catch(error => log.error({ error: messageOf(error) }, 'the daemon did not end cleanly'))
  if (how === 'stop') await confinement.stop()
  await queue.close()
  process.exit(0)
}

async function run(): Promise<void> {
  const self = await processRef(process.pid)
  if (!self) throw new Error('this process cannot be identified')
  await takeDataDir(config.dataDir, self)
  const { metadata } = await confinement.start()
  await daemon.start()
  log.info({ pid: process.pid, confinement: confinement.words, metadata }, 'host ready')
  void reports.announce(stopping.signal)
  await receiveRequests({ config, queue, sealer: seals, handlers: daemon.handlers, clock, log }, stopping.signal)
}

process.on('SIGTERM', () => void finish('stop'))
process.on('SIGINT', () => void finish('stop'))
process.on('SIGUSR2', () => void finish('close'))
await (stopsOnly ? finish('stop') : run())
