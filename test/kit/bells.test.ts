import { describe, expect, it } from '@jest/globals'
import { bells } from '../../lib/kit/bells.ts'
import { virtualClock } from './virtual-clock.ts'

const upper = (text: string) => text.toUpperCase()

describe('a doorbell', () => {
  it('has those who wait look again', async () => {
    const { ring, until } = bells(virtualClock())
    let written: string | undefined
    const waiting = until('door', 1_000, async () => written)
    written = 'seen'
    ring('door')
    await expect(waiting).resolves.toBe('seen')
  })

  it('hands a text to all who take texts, also while they look', async () => {
    const { hand, until } = bells(virtualClock())
    let looked = () => {}
    const slow = () =>
      new Promise<undefined>(resolve => {
        looked = () => resolve(undefined)
      })
    const both = [until('door', 1_000, async () => undefined, upper), until('door', 1_000, slow, upper)]
    expect(hand('door', 'text')).toBe(true)
    looked()
    await expect(Promise.all(both)).resolves.toEqual(['TEXT', 'TEXT'])
  })

  it('says when nobody takes it: nobody waits, waits here, or takes texts', async () => {
    const clock = virtualClock()
    const { hand, until } = bells(clock)
    const others = [until('other door', 100, async () => undefined, upper), until('door', 100, async () => undefined)]
    expect(hand('door', 'text')).toBe(false)
    await clock.advance(200)
    await expect(Promise.all(others)).resolves.toEqual([undefined, undefined])
    expect(hand('other door', 'text')).toBe(false)
  })
})
