import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll } from '@jest/globals'
import { sqsQueue } from '../../lib/platform/queue/sqs/queue.ts'
import { queueCases } from '../cases/queue.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { type Ministack, startMinistack } from './ministack.ts'

let aws: Ministack
beforeAll(async () => {
  aws = await startMinistack()
})
afterAll(() => aws?.stop())

// In real time: an unacknowledged message comes again after 30 s. The order of groups is up to AWS.
queueCases(
  'SQS queue on ministack',
  async () => {
    const queue = sqsQueue({ clock: realClock, connection: aws.connection, prefix: 'test-' })
    const topic = async () => {
      const name = randomUUID()
      await queue.declare(name)
      return name
    }
    const { declare, remove, close } = queue
    return { queue, topic, declare, remove, close, advance: ms => realClock.sleep(ms) }
  },
  { timeout: 90_000, fair: false },
)
