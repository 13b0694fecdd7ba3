import { expect, it } from '@jest/globals'
import { batch } from '../../lib/kit/batch.ts'
import { sqsEvent } from '../../local/events.ts'
import { silentLog } from './random.ts'

const message = (id: string, attempt: number) => ({ id, body: id, receipt: `receipt-${id}`, attempt })
const event = sqsEvent('topic', [message('good', 1), message('bad', 3), message('worse', 5)])

const failing = async (body: string) => {
  if (body !== 'good') throw new Error(body)
}

it('messages that fail are the ones to come again, and no other', async () => {
  const failed = [{ itemIdentifier: 'bad' }, { itemIdentifier: 'worse' }]
  expect(await batch(event, silentLog, failing)).toEqual({ batchItemFailures: failed })
})

it('who handles a message knows how often it has come', async () => {
  const attempts: [string, number][] = []
  await batch(event, silentLog, async (body, attempt) => void attempts.push([body, attempt]))
  expect(attempts).toEqual([
    ['good', 1],
    ['bad', 3],
    ['worse', 5],
  ])
})

it('messages that fail are released as it is told, and fail all the same when that fails', async () => {
  const released: [string, number][] = []
  const { batchItemFailures } = await batch(event, silentLog, failing, async (receipt, attempt) => {
    released.push([receipt, attempt])
    if (attempt === 3) throw new Error('the queue is away')
  })
  expect(released).toEqual([
    ['receipt-bad', 3],
    ['receipt-worse', 5],
  ])
  expect(batchItemFailures).toHaveLength(2)
})
