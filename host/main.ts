import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { HostMessage, type HostMethods, host } from '../lib/contracts/host.ts'
import { type Handlers, serve } from '../lib/kit/contract.ts'
import { reason } from '../lib/kit/errors.ts'
import { readJson, writeAtomically } from '../lib/kit/files.ts'
import { runningAs } from '../lib/kit/process.ts'
import { readEnvelope, sealer } from '../lib/kit/seal.ts'
import type { Message, Queue } from '../lib/platform/queue/queue.ts'
import { socketQueue } from '../lib/platform/queue/socket-client.ts'
import { systemClock, systemLog, systemRandom } from '../lib/wiring/system.ts'
import { HostConfig } from './config.ts'
import { Daemon } from './daemon.ts'

/**
 * `node host/main.ts <host.json>`: SIGTERM stops all instances, SIGUSR2 ends this daemon alone, its successor takes over.
 * With `--stop` it stops what a daemon left that was killed.
 */
const path = process.argv[2] ?? ''
const readConfig = () => HostConfig.parse(JSON.parse(readFileSync(path, 'utf8')))
const config = readConfig()
const Pid = z.object({ pid: z.int() })
const log = systemLog('host', config.logLevel)
const subject = `host:${config.hostId}`
const end = {
  kid: async () => config.kid,
  key: async (_kid: string, _subject: string, _generation: number, direction: 'down' | 'up') =>
    new Uint8Array(Buffer.from(config.keys[direction], 'base64url')),
}
const seals = sealer(end)
/** What the file says now: credentials in it are renewed. */
function socketOf() {
  const { queue } = readConfig()
  if (!('path' in queue)) throw new Error('the bus is another kind: the daemon has to be started again')
  return queue
}
function rabbitmqOf() {
  const { queue } = readConfig()
  if (!('url' in queue)) throw new Error('the bus is another kind: the daemon has to be started again')
  return queue
}
function sqsOf() {
  const { queue } = readConfig()
  if (!('urls' in queue)) throw new Error('the bus is another kind: the daemon has to be started again')
  return queue
}
/** How long credentials are taken for good before the file is read again. */
const SQS_MS = 60_000
const own = { clock: systemClock, log }
async function busOf(): Promise<Queue> {
  if ('path' in config.queue)
    return socketQueue({ ...own, path: () => socketOf().path, token: async () => socketOf().token })
  if ('urls' in config.queue) {
    const { agentSqs } = await import('../lib/platform/queue/sqs-agent.ts')
    const fresh = async () => ({ access: { kind: 'sqs', ...sqsOf() }, expires: systemClock.now() + SQS_MS })
    return agentSqs(config.queue, systemClock, fresh)
  }
  const { rabbitmqQueue } = await import('../lib/platform/queue/rabbitmq.ts')
  return rabbitmqQueue({ ...own, random: systemRandom, machine: true, access: async () => rabbitmqOf() })
}
const queue = await busOf()

let lastSent = 0
/** Rises with every report, over restarts too. */
function nextSent(): number {
  lastSent = Math.max(lastSent + 1, systemClock.now() * 1000)
  return lastSent
}

const REPORT_MS = 600_000
const pidFile = join(config.dataDir, 'host.pid')

/** The file with this daemon's pid: another's there means that it was replaced. */
async function standing(): Promise<'held' | 'replaced' | 'gone'> {
  if (!existsSync(config.dataDir)) return 'gone'
  const holder = Pid.safeParse(await readJson(pidFile).catch(() => undefined))
  return holder.success && holder.data.pid !== process.pid ? 'replaced' : 'held'
}

const daemon = new Daemon({
  config,
  clock: systemClock,
  random: systemRandom,
  log,
  standing,
  over: how => void finish(how),
  async report(method, of, facts) {
    const id = systemRandom.uuid()
    const outer = {
      subject,
      generation: 0,
      direction: 'up',
      kind: 'report',
      id,
      expires: systemClock.now() + REPORT_MS,
    } as const
    const body = await seals.seal(outer, { method, input: { ...of, facts }, sent: nextSent() })
    await queue.send(config.conductor, [{ body }]).catch(error => {
      // The control plane is away; it asks again when it is back.
      log.warn({ method, error: reason(error) }, 'report not sent')
    })
  },
})

const dispatch = serve<HostMethods, undefined>(host, daemon.handlers as Handlers<HostMethods, undefined>)

async function handle({ body, receipt }: Message): Promise<void> {
  try {
    const envelope = readEnvelope(body)
    if (envelope.subject !== subject || envelope.direction !== 'down') throw new Error('not for this host')
    if (envelope.expires < systemClock.now()) throw new Error('expired')
    const { method, input } = HostMessage.parse(await seals.open(envelope))
    await dispatch(method, input, undefined)
  } catch (error) {
    log.warn({ error: reason(error) }, 'message dropped')
  }
  await queue.ack(config.topic, [receipt]).catch(() => {})
}

const stopping = new AbortController()
async function consume(): Promise<void> {
  while (!stopping.signal.aborted) {
    try {
      const messages = await queue.receive(config.topic, { max: 10, waitMs: 20_000, signal: stopping.signal })
      for (const message of messages) void handle(message)
    } catch (error) {
      log.warn({ error: reason(error) }, 'queue not reached')
      await systemClock.sleep(500, stopping.signal)
    }
  }
}

async function finish(how: 'close' | 'stop'): Promise<void> {
  if (stopping.signal.aborted) return
  stopping.abort()
  await daemon[how]().catch(error => log.error({ error: reason(error) }, 'not ended cleanly'))
  await queue.close()
  process.exit(0)
}

process.on('SIGTERM', () => void finish('stop'))
process.on('SIGINT', () => void finish('stop'))
process.on('SIGUSR2', () => void finish('close'))
if (process.argv[3] === '--stop') await finish('stop')
await writeAtomically(pidFile, JSON.stringify(await runningAs(process.pid)))
await daemon.start()
log.info({ pid: process.pid }, 'host ready')
await consume()
