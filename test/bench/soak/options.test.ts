import { describe, expect, it } from '@jest/globals'
import { readSoakOptions } from '../../../bench/soak/options.ts'

describe('the options of a soak', () => {
  it('have defaults, and a seed of their own at each run', () => {
    const { seed, ...rest } = readSoakOptions([])
    expect(rest).toEqual({
      ...{ minutes: 1, kills: false, killSeconds: 3, dataDir: undefined },
      ...{ actors: 5, instances: 6, settleSeconds: 300 },
    })
    expect(seed).not.toBe(readSoakOptions([]).seed)
  })

  it('are read from the command line', () => {
    const args = '--minutes 0.5 --kills --kill-seconds 2.5 --seed 7 --data-dir /x --actors 3 --instances 2'
    expect(readSoakOptions([...args.split(' '), '--settle-seconds', '9'])).toEqual({
      ...{ minutes: 0.5, kills: true, killSeconds: 2.5, seed: 7, dataDir: '/x' },
      ...{ actors: 3, instances: 2, settleSeconds: 9 },
    })
  })

  it.each([
    ['--minutes', 'ten'],
    ['--minutes', '0'],
    ['--actors', '-1'],
    ['--seed', '1e400'],
    ['--surprise', '1'],
  ])('refuse %s %s', (...args) => {
    expect(() => readSoakOptions(args)).toThrow(args[0])
  })
})
