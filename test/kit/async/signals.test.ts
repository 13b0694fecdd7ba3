import { describe, expect, it } from '@jest/globals'
import { inProcessSignals } from '../../../lib/kit/async/signals.ts'
import { virtualClock } from '../virtual-clock.ts'

const pollNothing = async () => undefined

describe('inProcessSignals', () => {
  it('makes waiters poll again when they are notified', async () => {
    const { notify, waitFor } = inProcessSignals(virtualClock())
    let written: string | undefined
    const waiting = waitFor('door', 1_000, async () => written)
    written = 'seen'
    notify('door')
    await expect(waiting).resolves.toBe('seen')
  })

  it('delivers a text to everyone who waits for one, even while they poll', async () => {
    const { deliver, waitForText } = inProcessSignals(virtualClock())
    let finishPoll = () => {}
    const pollSlowly = () =>
      new Promise<undefined>(resolve => {
        finishPoll = () => resolve(undefined)
      })
    const both = [waitForText('door', 1_000, pollNothing), waitForText('door', 1_000, pollSlowly)]
    expect(deliver('door', 'text')).toBe(true)
    finishPoll()
    await expect(Promise.all(both)).resolves.toEqual(['text', 'text'])
  })

  it('reports a text as not delivered when nobody waits for a text under its name', async () => {
    const clock = virtualClock()
    const { deliver, waitFor, waitForText } = inProcessSignals(clock)
    const others = [waitForText('other door', 100, pollNothing), waitFor('door', 100, pollNothing)]
    expect(deliver('door', 'text')).toBe(false)
    await clock.advance(200)
    await expect(Promise.all(others)).resolves.toEqual([undefined, undefined])
    expect(deliver('other door', 'text')).toBe(false)
  })
})
