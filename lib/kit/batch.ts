import type { SQSBatchResponse, SQSEvent } from 'aws-lambda'
import type { Log } from './clock.ts'
import { reason } from './errors.ts'

/** Handles each message of a batch; only the ones that throw are delivered again (partial batch response). */
export async function batch(
  event: SQSEvent,
  log: Log,
  handle: (body: string) => Promise<void>,
): Promise<SQSBatchResponse> {
  const failures = await Promise.all(
    event.Records.map(async ({ messageId, body, attributes }) => {
      try {
        await handle(body)
        return []
      } catch (error) {
        log.error(
          { message: messageId, attempt: attributes.ApproximateReceiveCount, error: reason(error) },
          'message failed',
        )
        return [{ itemIdentifier: messageId }]
      }
    }),
  )
  return { batchItemFailures: failures.flat() }
}
