import { describe, expect, it } from '@jest/globals'
import { handleBatch } from '../../../lib/kit/rpc/batch.ts'
import { sqsEvent } from '../../../local/gateway/events.ts'
import { silentLog } from '../random.ts'

const message = (id: string, attempt: number) => ({ id, body: id, receipt: `receipt-${id}`, attempt })
const event = sqsEvent('topic', [message('good', 1), message('bad', 3), message('worse', 5)])

const failUnlessGood = async (body: string) => {
  if (body !== 'good') throw new Error(body)
}

describe('handleBatch', () => {
  it('reports the failed messages, and only those, for redelivery', async () => {
    const failed = [{ itemIdentifier: 'bad' }, { itemIdentifier: 'worse' }]
    expect(await handleBatch(event, silentLog, failUnlessGood)).toEqual({ batchItemFailures: failed })
  })

  it('passes the number of deliveries to the handler', async () => {
    const attempts: [string, number][] = []
    await handleBatch(event, silentLog, async (body, attempt) => void attempts.push([body, attempt]))
    expect(attempts).toEqual([
      ['good', 1],
      ['bad', 3],
      ['worse', 5],
    ])
  })

  it('releases failed messages as requested, and reports them even if that fails', async () => {
    const released: [string, number][] = []
    const { batchItemFailures } = await handleBatch(event, silentLog, failUnlessGood, async (receipt, attempt) => {
      released.push([receipt, attempt])
      if (attempt === 3) throw new Error('the queue is away')
    })
    expect(released).toEqual([
      ['receipt-bad', 3],
      ['receipt-worse', 5],
    ])
    expect(batchItemFailures).toHaveLength(2)
  })
})
