import { describe, expect, it } from '@jest/globals'
import { InstanceQueues } from '../../host/instance-queues.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

describe('the queues of instances', () => {
  it('run one task at a time for an instance, and those of others meanwhile', async () => {
    const clock = virtualClock()
    const queues = new InstanceQueues()
    const events: string[] = []
    const task = (name: string, ms: number) => async () => {
      events.push(`${name} starts`)
      await clock.sleep(ms)
      events.push(`${name} ends`)
    }
    void queues.run('i1', task('a', 10))
    void queues.run('i1', task('b', 10))
    void queues.run('i2', task('c', 5))
    await clock.advance(100)
    expect(events).toEqual(['a starts', 'c starts', 'c ends', 'a ends', 'b starts', 'b ends'])
  })

  it('are busy until their last task ends, and idle() waits for it although a task fails', async () => {
    const clock = virtualClock()
    const queues = new InstanceQueues()
    const failure = queues.run('i1', () => Promise.reject(new Error('no'))).catch((error: Error) => error.message)
    let isDone = false
    void queues
      .run('i1', () => clock.sleep(10))
      .then(() => {
        isDone = true
      })
    expect([queues.isBusy('i1'), queues.isBusy('i2')]).toEqual([true, false])
    const idle = queues.idle()
    await clock.advance(100)
    await idle
    expect([await failure, isDone, queues.isBusy('i1')]).toEqual(['no', true, false])
  })
})
