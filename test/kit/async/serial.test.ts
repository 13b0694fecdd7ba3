import { describe, expect, it } from '@jest/globals'
import { SerialQueue } from '../../../lib/kit/async/serial.ts'

describe('a serial queue', () => {
  it('starts a task only when the one before it has ended', async () => {
    const serial = new SerialQueue()
    const events: string[] = []
    const first = Promise.withResolvers<void>()
    const task = (name: string, until?: Promise<void>) => async () => {
      events.push(`${name} starts`)
      await until
      events.push(`${name} ends`)
      return name
    }
    const both = Promise.all([serial.run(task('first', first.promise)), serial.run(task('second'))])
    await new Promise(setImmediate)
    expect(events).toEqual(['first starts'])
    first.resolve()
    expect(await both).toEqual(['first', 'second'])
    expect(events).toEqual(['first starts', 'first ends', 'second starts', 'second ends'])
  })

  it('fails the caller of a failed task only, and goes on with the next', async () => {
    const serial = new SerialQueue()
    const failed = serial.run(() => Promise.reject(new Error('no space')))
    const next = serial.run(async () => 'done')
    await expect(failed).rejects.toThrow('no space')
    expect(await next).toBe('done')
  })
})
