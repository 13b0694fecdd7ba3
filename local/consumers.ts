import type { SQSBatchResponse, SQSEvent } from 'aws-lambda'
import { handler as conductor } from '../functions/conductor.ts'
import { handler as periodic } from '../functions/periodic.ts'
import { handler as taskmanager } from '../functions/taskmanager.ts'
import { CONDUCTOR_TOPIC } from '../lib/contracts/conductor.ts'
import { TASKMANAGER_TOPIC } from '../lib/contracts/taskmanager.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { MAX_ATTEMPTS } from '../lib/kit/rpc/batch.ts'
import type { Platform } from '../lib/platform/platform.ts'
import type { Message } from '../lib/ports/queue.ts'
import { wakeAll } from '../lib/taskmanager/scheduler.ts'
import { contextOf, sqsEvent } from './gateway/events.ts'

type ConsumerPlatform = Pick<Platform, 'queue' | 'clock' | 'log' | 'metrics'>
type Consumer = (event: SQSEvent, context: ReturnType<typeof contextOf>) => Promise<SQSBatchResponse>

const TIMEOUT_MS = 60_000
/** Messages that one function handles at once. */
export const CONCURRENCY = 64
const PERIOD_MS = 1_000
/** Less than this is a correction that no wait notices. */
const SET_BACK_MS = 1_000
/**
 * How often expired records are deleted, and how many at once. After a full batch the next follows after a short
 * pause.
 */
const SWEEP = { everyMs: 60_000, batchSize: 1_000, pauseMs: 100 }

/** The components that a process may run besides the gateway. */
export const COMPONENTS = ['taskmanager', 'conductor', 'periodic'] as const
type Component = (typeof COMPONENTS)[number]
type SweepablePlatform = Platform & {
  store: { sweepExpired?(now: number, limit: number): number | Promise<number> }
}

/** Starts `consume`; call the result to stop it and wait for the messages in hand. */
export function startConsumers(platform: SweepablePlatform, components?: readonly Component[]): () => Promise<void> {
  const stopping = new AbortController()
  const consuming = consume(platform, stopping.signal, components)
  return async () => {
    stopping.abort()
    await consuming
  }
}

/** Feeds the functions from the queue, as event source mappings and a schedule do on AWS, until `signal` is aborted. */
export async function consume(
  platform: SweepablePlatform,
  signal: AbortSignal,
  components: readonly Component[] = COMPONENTS,
): Promise<void> {
  const run: Record<Component, () => Promise<unknown>> = {
    taskmanager: () => consumeTopic(platform, TASKMANAGER_TOPIC, taskmanager, signal),
    conductor: () => consumeTopic(platform, CONDUCTOR_TOPIC, conductor, signal),
    periodic: () => Promise.all([tickJob(platform), sweepJob(platform)].map(job => repeat(platform, job, signal))),
  }
  await Promise.all(components.map(component => run[component]()))
}

/**
 * Handles a topic's messages, at most CONCURRENCY at once. Messages are received only as places become free: those
 * still in the queue are handed out to projects in turns.
 */
export async function consumeTopic(
  platform: ConsumerPlatform,
  topic: string,
  handler: Consumer,
  signal: AbortSignal,
): Promise<void> {
  const { queue, clock, log } = platform
  const running = new Set<Promise<void>>()
  while (!signal.aborted) {
    try {
      if (running.size >= CONCURRENCY) await Promise.race(running)
      const max = Math.min(10, CONCURRENCY - running.size)
      const messages = await queue.receive(topic, { max, waitMs: 20_000, signal })
      for (const message of messages) {
        const work = handleMessage(platform, topic, handler, message).finally(() => running.delete(work))
        running.add(work)
      }
    } catch (error) {
      log.error({ topic, error: messageOf(error) }, 'queue failed')
      await clock.sleep(500, signal)
    }
  }
  await Promise.all(running)
}

async function handleMessage(
  platform: ConsumerPlatform,
  topic: string,
  handler: Consumer,
  message: Message,
): Promise<void> {
  const { queue, log, metrics } = platform
  try {
    const { batchItemFailures } = await handler(sqsEvent(topic, [message]), contextOf(topic, TIMEOUT_MS))
    if (batchItemFailures.length === 0) return await queue.ack(topic, [message.receipt])
    metrics.count('coffer_messages_failed_total', { topic })
    if (message.attempt < MAX_ATTEMPTS) return await queue.release(topic, [message.receipt], 500 * 2 ** message.attempt)
    metrics.count('coffer_messages_dropped_total', { topic, why: 'given up' })
    log.error({ topic, message: message.id }, 'message given up')
    await (queue.deadLetter ?? queue.ack)(topic, [message.receipt])
  } catch (error) {
    log.error({ topic, error: messageOf(error) }, 'consumer failed')
  }
}

/** Work done again and again. `run` may return a pause in milliseconds that differs from `everyMs`. */
interface Job {
  name: string
  everyMs: number
  run(): Promise<number | undefined>
}

async function repeat(
  { clock, log }: ConsumerPlatform,
  { name, everyMs, run }: Job,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let pauseMs: number | undefined
    try {
      pauseMs = await run()
    } catch (error) {
      log.error({ error: messageOf(error) }, `${name} failed`)
    }
    await clock.sleep(pauseMs ?? everyMs, signal)
  }
}

/** Acts on what is due. A clock that was set back would let it wait until the clock has caught up. */
function tickJob(platform: Platform): Job {
  const { clock, log } = platform
  let last = clock.now()
  return {
    name: 'periodic',
    everyMs: PERIOD_MS,
    async run() {
      const now = clock.now()
      const lostMs = last - now
      last = now
      if (lostMs > SET_BACK_MS) {
        log.warn({ lostMs }, 'the clock was set back')
        await wakeAll(platform)
      }
      await periodic({} as Parameters<typeof periodic>[0], contextOf('periodic', TIMEOUT_MS))
      return undefined
    },
  }
}

/** Deletes expired records in batches; requests and due records have their turn in between. */
const sweepJob = ({ clock, store }: SweepablePlatform): Job => ({
  name: 'sweep',
  everyMs: SWEEP.everyMs,
  async run() {
    const deleted = (await store.sweepExpired?.(clock.now(), SWEEP.batchSize)) ?? 0
    return deleted < SWEEP.batchSize ? undefined : SWEEP.pauseMs
  },
})
