import { describe, expect, it } from '@jest/globals'
import { figuresIn, hardware, processFigures } from '../../lib/kit/figures.ts'

const STATUS = `Name:\tpostgres
Umask:\t0077
State:\tS (sleeping)
FDSize:\t128
VmPeak:\t  171000 kB
VmSize:\t  170996 kB
VmHWM:\t   29012 kB
VmRSS:\t   28996 kB
Threads:\t1
`

describe('figures of a process', () => {
  it('are read by their names', () => {
    expect(figuresIn(STATUS)).toEqual({
      threads: 1,
      fdSize: 128,
      vmPeak: 171000,
      vmSize: 170996,
      vmHwm: 29012,
      vmRss: 28996,
    })
  })

  it('are none of a process that has ended', async () => {
    expect(figuresIn('Name:\tpostgres\nState:\tZ (zombie)\nFDSize:\t0\nThreads:\t1\n')).toBeUndefined()
    expect(figuresIn('')).toBeUndefined()
    expect(await processFigures(2 ** 30)).toBeUndefined()
  })
})

it('the machine has memory and processors', () => {
  const { mem_total, num_cpus } = hardware()
  // In kB: a machine with less than 16 MB or more than 64 TB would be a wrong unit.
  expect(mem_total).toBeGreaterThan(16 * 1024)
  expect(mem_total).toBeLessThan(64 * 1024 ** 3)
  expect(num_cpus).toBeGreaterThanOrEqual(1)
})
