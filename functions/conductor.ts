import middy from '@middy/core'
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda'
import { CONDUCTOR_TOPIC } from '../lib/contracts/conductor.ts'
import { receive } from '../lib/guests/reports.ts'
import { batch } from '../lib/kit/batch.ts'
import { BadMessage } from '../lib/kit/contract.ts'
import { BadSeal } from '../lib/kit/seal.ts'
import { wired } from '../lib/wiring/current.ts'

/** SQS events of the conductor's queue: reports and answers of machines. What is not genuine is counted, logged and dropped. */
export const handler = middy<SQSEvent, SQSBatchResponse>().handler(event => {
  const platform = wired()
  return batch(event, platform.log, async body => {
    try {
      await receive(platform, body)
    } catch (error) {
      if (!(error instanceof BadSeal || error instanceof BadMessage)) throw error
      platform.metrics.count('coffer_messages_dropped_total', { topic: CONDUCTOR_TOPIC, why: error.name })
      platform.log.warn({ dropped: error.name, why: error.message }, 'message dropped')
    }
  })
})
