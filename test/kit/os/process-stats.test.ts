import { describe, expect, it } from '@jest/globals'
import { parseProcStatus, readHardware, readProcessStats } from '../../../lib/kit/os/process-stats.ts'

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

describe('the statistics of a process', () => {
  it('are read by name', () => {
    expect(parseProcStatus(STATUS)).toEqual({
      threads: 1,
      fdSize: 128,
      vmPeak: 171000,
      vmSize: 170996,
      vmHwm: 29012,
      vmRss: 28996,
    })
  })

  it('are undefined for a process that has ended', async () => {
    expect(parseProcStatus('Name:\tpostgres\nState:\tZ (zombie)\nFDSize:\t0\nThreads:\t1\n')).toBeUndefined()
    expect(parseProcStatus('')).toBeUndefined()
    expect(await readProcessStats(2 ** 30)).toBeUndefined()
  })
})

describe('readHardware', () => {
  it('returns the memory in kB and the processors', () => {
    const { mem_total, num_cpus } = readHardware()
    // Less than 16 MB or more than 64 TB would mean a wrong unit.
    expect(mem_total).toBeGreaterThan(16 * 1024)
    expect(mem_total).toBeLessThan(64 * 1024 ** 3)
    expect(num_cpus).toBeGreaterThanOrEqual(1)
  })
})
