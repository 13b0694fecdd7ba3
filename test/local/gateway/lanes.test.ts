import { describe, expect, it } from '@jest/globals'
import { Lanes } from '../../../local/gateway/lanes.ts'

describe('lanes', () => {
  it('take turns, each in its order, and are gone when they are empty', () => {
    const lanes = new Lanes<{ name: string }>()
    for (const name of ['a1', 'a2', 'a3', 'b1', 'b2']) lanes.add(name.charAt(0), { name })
    const first = Array.from({ length: 3 }, () => lanes.take()?.name)
    lanes.add('c', { name: 'c1' })
    expect([...first, lanes.take()?.name, lanes.take()?.name, lanes.take()?.name]).toEqual([
      'a1',
      'b1',
      'a2',
      'b2',
      'a3',
      'c1',
    ])
    expect([lanes.size, lanes.take()]).toEqual([0, undefined])
  })
})
