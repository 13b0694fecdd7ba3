import { describe, expect, it } from '@jest/globals'
import { isAlive, processRef, readStartTicks } from '../../../lib/kit/os/process.ts'

describe('processes', () => {
  it('are identified by their start time, not by their pid alone', async () => {
    const self = await processRef(process.pid)
    expect(self && (await isAlive(self))).toBe(true)
    expect(await isAlive({ pid: process.pid, started: '1' })).toBe(false)
    expect(await processRef(2 ** 22 + 1)).toBeUndefined()
  })

  it('may have any name, and count as dead when they are zombies', () => {
    const rest = '1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0'
    expect(readStartTicks(`5 (a) R (b) S ${rest}`)).toBe('777')
    expect(readStartTicks(`5 (postgres) Z ${rest}`)).toBeUndefined()
  })
})
