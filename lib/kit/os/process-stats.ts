import { readFile } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'

/** Statistics of a process, as in /proc/<pid>/status. Sizes are in kB. */
export interface ProcessStats {
  threads: number
  fdSize: number
  vmSize: number
  vmPeak: number
  vmRss: number
  vmHwm: number
}

/** The memory (`mem_total`, in kB) and processors of this machine. */
export const readHardware = () => ({ mem_total: Math.floor(totalmem() / 1024), num_cpus: availableParallelism() })

/** Parses the text of /proc/<pid>/status. Undefined for a process that has ended: it has no memory. */
export function parseProcStatus(status: string): ProcessStats | undefined {
  const fields = new Map([...status.matchAll(/^(\w+):\s+(\d+)/gm)].map(([, name, value]) => [name, Number(value)]))
  const [threads, fdSize, vmSize, vmPeak, vmRss, vmHwm] = [
    'Threads',
    'FDSize',
    'VmSize',
    'VmPeak',
    'VmRSS',
    'VmHWM',
  ].map(name => fields.get(name))
  if (threads === undefined || fdSize === undefined || vmSize === undefined) return undefined
  if (vmPeak === undefined || vmRss === undefined || vmHwm === undefined) return undefined
  return { threads, fdSize, vmSize, vmPeak, vmRss, vmHwm }
}

/** The statistics of a process. Undefined if it has ended, or on a system without /proc. */
export async function readProcessStats(pid: number): Promise<ProcessStats | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return parseProcStatus(status)
}
