import { describe, expect, it } from '@jest/globals'
import { HeldByGroup } from '../../../../lib/platform/queue/embedded/held.ts'

describe('what a topic holds', () => {
  it('is counted for each group, and forgotten with its last message', () => {
    const held = new HeldByGroup()
    const [small, large, other] = [
      { group: 'a', bytes: 1 },
      { group: 'a', bytes: 5 },
      { group: undefined, bytes: 7 },
    ]
    for (const message of [small, large, other]) held.add(message)
    expect([held.of('a'), held.of(undefined), held.of('b')]).toEqual([
      { messages: 2, bytes: 6 },
      { messages: 1, bytes: 7 },
      { messages: 0, bytes: 0 },
    ])
    held.remove(large)
    expect(held.of('a')).toEqual({ messages: 1, bytes: 1 })
    held.remove(small)
    expect(held.of('a')).toEqual({ messages: 0, bytes: 0 })
  })
})
