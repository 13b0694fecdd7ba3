import type { SQSBatchResponse, SQSEvent } from 'aws-lambda'
import { handler as conductor } from '../functions/conductor.ts'
import { handler as periodic } from '../functions/periodic.ts'
import { handler as taskmanager } from '../functions/taskmanager.ts'
import { CONDUCTOR_TOPIC } from '../lib/contracts/conductor.ts'
import { TASKMANAGER_TOPIC } from '../lib/contracts/taskmanager.ts'
import { MOST_ATTEMPTS } from '../lib/kit/batch.ts'
import { reason } from '../lib/kit/errors.ts'
import type { Platform } from '../lib/platform/platform.ts'
import type { Message } from '../lib/platform/queue/queue.ts'
import { contextOf, sqsEvent } from './events.ts'

type Consuming = Pick<Platform, 'queue' | 'clock' | 'log' | 'metrics'>
type Consumer = (event: SQSEvent, context: ReturnType<typeof contextOf>) => Promise<SQSBatchResponse>

const TIMEOUT_MS = 60_000
/** Messages handled at once by one function. */
export const CONCURRENCY = 64
const PERIOD_MS = 1_000
/** How often expired records are deleted, so many at once; while there are more, the next go after a pause. */
const SWEEP = { everyMs: 60_000, atOnce: 1_000, pauseMs: 100 }

/** What a process can do besides answering requests. */
export const WORK = ['taskmanager', 'conductor', 'periodic'] as const
export type Work = (typeof WORK)[number]
type Swept = Platform & { store: { sweepExpired?(now: number, limit: number): number | Promise<number> } }

/** Feeds the functions from the queue, as event source mappings and a schedule do on AWS, until `signal` is aborted. */
export async function consume(platform: Swept, signal: AbortSignal, work: readonly Work[] = WORK): Promise<void> {
  const of: Record<Work, () => Promise<void>> = {
    taskmanager: () => pull(platform, TASKMANAGER_TOPIC, taskmanager, signal),
    conductor: () => pull(platform, CONDUCTOR_TOPIC, conductor, signal),
    periodic: async () => void (await Promise.all([tick(platform, signal), sweep(platform, signal)])),
  }
  await Promise.all(work.map(each => of[each]()))
}

/** Never more than CONCURRENCY at once, taken as places become free: what is not taken yet, the queue hands out in turns. */
export async function pull(platform: Consuming, topic: string, handler: Consumer, signal: AbortSignal): Promise<void> {
  const { queue, clock, log } = platform
  const running = new Set<Promise<void>>()
  while (!signal.aborted) {
    try {
      if (running.size >= CONCURRENCY) await Promise.race(running)
      const max = Math.min(10, CONCURRENCY - running.size)
      const messages = await queue.receive(topic, { max, waitMs: 20_000, signal })
      for (const message of messages) {
        const work = one(platform, topic, handler, message).finally(() => running.delete(work))
        running.add(work)
      }
    } catch (error) {
      log.error({ topic, error: reason(error) }, 'queue failed')
      await clock.sleep(500, signal)
    }
  }
  await Promise.all(running)
}

async function one(platform: Consuming, topic: string, handler: Consumer, message: Message): Promise<void> {
  const { queue, log, metrics } = platform
  try {
    const { batchItemFailures } = await handler(sqsEvent(topic, [message]), contextOf(topic, TIMEOUT_MS))
    if (batchItemFailures.length === 0) return await queue.ack(topic, [message.receipt])
    metrics.count('coffer_messages_failed_total', { topic })
    if (message.attempt < MOST_ATTEMPTS)
      return await queue.release(topic, [message.receipt], 500 * 2 ** message.attempt)
    metrics.count('coffer_messages_dropped_total', { topic, why: 'given up' })
    log.error({ topic, message: message.id }, 'message given up')
    await (queue.bury ?? queue.ack)(topic, [message.receipt])
  } catch (error) {
    log.error({ topic, error: reason(error) }, 'consumer failed')
  }
}

async function tick({ clock, log }: Swept, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await periodic({} as Parameters<typeof periodic>[0], contextOf('periodic', TIMEOUT_MS))
    } catch (error) {
      log.error({ error: reason(error) }, 'periodic failed')
    }
    await clock.sleep(PERIOD_MS, signal)
  }
}

/** Deletes all that has expired; requests, and what is due, have their turn in between. */
async function sweep({ clock, log, store }: Swept, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let deleted = 0
    try {
      deleted = (await store.sweepExpired?.(clock.now(), SWEEP.atOnce)) ?? 0
    } catch (error) {
      log.error({ error: reason(error) }, 'sweep failed')
    }
    await clock.sleep(deleted < SWEEP.atOnce ? SWEEP.everyMs : SWEEP.pauseMs, signal)
  }
}
