import middy from '@middy/core'
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda'
import type { Queue } from '../../ports/queue.ts'
import type { Clock, Log } from '../clock.ts'
import { messageOf } from '../errors.ts'

/** Deliveries of a message before it goes to the dead-letter queue: the queues' `maxReceiveCount`. */
export const MAX_ATTEMPTS = 5

/**
 * Handles all messages of an SQS batch at once, and reports those that failed (a partial batch response): only they are
 * redelivered. `onFailure` may change when, for instance by changing the message's visibility timeout.
 *
 * @example
 * export const handler = (event: SQSEvent) => handleBatch(event, log, body => process(JSON.parse(body)))
 */
export async function handleBatch(
  event: SQSEvent,
  log: Log,
  handle: (body: string, attempt: number) => Promise<void>,
  onFailure?: (receipt: string, attempt: number) => Promise<void>,
): Promise<SQSBatchResponse> {
  const failures = await Promise.all(
    event.Records.map(async ({ messageId, receiptHandle, body, attributes }) => {
      const attempt = Number(attributes.ApproximateReceiveCount)
      try {
        await handle(body, attempt)
        return []
      } catch (error) {
        log.error({ message: messageId, attempt, error: messageOf(error) }, 'message failed')
        await onFailure?.(receiptHandle, attempt).catch(failure =>
          log.warn({ error: messageOf(failure) }, 'failed to release a message'),
        )
        return [{ itemIdentifier: messageId }]
      }
    }),
  )
  return { batchItemFailures: failures.flat() }
}

/** How much of its time an invocation leaves unused: no step begins that would be cut short. */
const RESERVE_MS = 15_000

/** One delivery of a message, as far as its handler has to know. */
export interface Invocation {
  /** When the handler should stop working on, in milliseconds since the epoch. */
  stopAt: number
  /** The message is not delivered again after this. */
  last: boolean
}

interface QueueDeps {
  queue: Queue
  clock: Clock
  log: Log
  /**
   * Queues push their messages here, so that a failed one has to be released; a consumer that pulls does that itself.
   */
  delaysDoorbells?: boolean
}

/**
 * A Lambda function that handles the messages of a queue, one by one. `releases`: failed ones come again after 1, 2, 4,
 * 8 s.
 */
export function queueHandler<D extends QueueDeps>(
  topic: string,
  getDeps: () => D,
  handle: (deps: D, body: string, invocation: Invocation) => Promise<void>,
  { releases = false } = {},
) {
  return middy<SQSEvent, SQSBatchResponse>().handler((event, context) => {
    const deps = getDeps()
    const stopAt = deps.clock.now() + context.getRemainingTimeInMillis() - RESERVE_MS
    const release = (receipt: string, attempt: number) =>
      deps.queue.release(topic, [receipt], attempt < MAX_ATTEMPTS ? 500 * 2 ** attempt : 0)
    return handleBatch(
      event,
      deps.log,
      (body, attempt) => handle(deps, body, { stopAt, last: attempt >= MAX_ATTEMPTS }),
      releases && deps.delaysDoorbells ? release : undefined,
    )
  })
}
