import { describe, expect, it } from '@jest/globals'
import { Shutdown } from '../../guest-agent/shutdown.ts'
import { silentLog } from '../kit/random.ts'

describe('a shutdown', () => {
  it('runs its steps in order and once, although one fails, and exits last', async () => {
    const events: string[] = []
    const shutdown = new Shutdown(silentLog, () => events.push('exit'))
    shutdown.add('first', async () => events.push(`first, aborted: ${shutdown.signal.aborted}`))
    shutdown.add('second', () => Promise.reject(new Error('no')))
    shutdown.add('third', async () => events.push('third'))
    expect(shutdown.signal.aborted).toBe(false)
    await Promise.all([shutdown.run(), shutdown.run()])
    expect(events).toEqual(['first, aborted: true', 'third', 'exit'])
  })
})
