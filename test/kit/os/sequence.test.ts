import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { openSequence } from '../../../lib/kit/os/sequence.ts'
import { silentLog } from '../random.ts'
import { virtualClock } from '../virtual-clock.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'coffer-sequence-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const clock = virtualClock()
const open = (folder = dir) => openSequence(join(folder, 'sequence.json'), { clock, log: silentLog })

describe('a sequence', () => {
  it('rises by one, for callers at the same time too', async () => {
    const { next } = await open()
    const first = await next()
    expect(await Promise.all([next(), next(), next()])).toEqual([1, 2, 3].map(step => first + step))
  })

  it('rises over restarts, although the clock was a day ahead before', async () => {
    clock.setBack(-86_400_000)
    let last = await (await open()).next()
    clock.setBack(86_400_000)
    for (let restart = 0; restart < 3; restart++) {
      const { next } = await open()
      const number = await next()
      expect(number).toBeGreaterThan(last)
      last = number
    }
  })

  it('goes on above the numbers of an earlier version, which counted microseconds', async () => {
    expect(await (await open()).next()).toBeGreaterThan(clock.now() * 1_000)
  })

  it('stays exact, and leaves room above, whatever the clock says', async () => {
    clock.setBack(-1e15)
    const number = await (await open()).next()
    clock.setBack(1e15)
    expect(number).toBe(2 ** 52 + 1)
  })

  it('rises although nothing can be written', async () => {
    const { next } = await open(join(dir, 'missing'))
    const first = await next()
    expect(await next()).toBe(first + 1)
  })
})
