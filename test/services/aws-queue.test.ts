import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll } from '@jest/globals'
import { sqsQueue } from '../../lib/platform/queue/sqs.ts'
import { queueCases } from '../cases/queue.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { type Ministack, ministack } from './ministack.ts'

let aws: Ministack
beforeAll(async () => {
  aws = await ministack()
})
afterAll(() => aws?.stop())

// In real time: what is not acked is awaited for 30 s. Turns of groups are AWS's own.
queueCases(
  'SQS queue on ministack',
  async () => {
    const queue = sqsQueue({ clock: realClock, connection: aws.connection, prefix: 'test-' })
    const topic = async () => {
      const topic = randomUUID()
      await queue.declare(topic)
      return topic
    }
    const { declare, remove, close } = queue
    return { queue, topic, declare, remove, close, advance: ms => realClock.sleep(ms) }
  },
  { timeout: 90_000, fair: false },
)
