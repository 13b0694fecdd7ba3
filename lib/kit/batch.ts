import type { SQSBatchResponse, SQSEvent } from 'aws-lambda'
import type { Log } from './clock.ts'
import { reason } from './errors.ts'

/** How often a message is delivered before it is given up: the queues' `maxReceiveCount`. */
export const MOST_ATTEMPTS = 5

/**
 * Handles each message of a batch; only the ones that throw are delivered again (partial batch response), when the queue
 * shows them again, or as `again` has it.
 */
export async function batch(
  event: SQSEvent,
  log: Log,
  handle: (body: string, attempt: number) => Promise<void>,
  again?: (receipt: string, attempt: number) => Promise<void>,
): Promise<SQSBatchResponse> {
  const failures = await Promise.all(
    event.Records.map(async ({ messageId, receiptHandle, body, attributes }) => {
      const attempt = Number(attributes.ApproximateReceiveCount)
      try {
        await handle(body, attempt)
        return []
      } catch (error) {
        log.error({ message: messageId, attempt, error: reason(error) }, 'message failed')
        await again?.(receiptHandle, attempt).catch(more => log.warn({ error: reason(more) }, 'message not released'))
        return [{ itemIdentifier: messageId }]
      }
    }),
  )
  return { batchItemFailures: failures.flat() }
}
