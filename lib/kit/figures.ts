import { readFile } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'

/** What the system tells of a process; sizes in kB. */
export interface ProcessFigures {
  threads: number
  fdSize: number
  vmSize: number
  vmPeak: number
  vmRss: number
  vmHwm: number
}

/** Of this machine; `mem_total` in kB. */
export const hardware = () => ({ mem_total: Math.floor(totalmem() / 1024), num_cpus: availableParallelism() })

/** The figures in the text of /proc/<pid>/status. A process that has ended has no memory: undefined. */
export function figuresIn(status: string): ProcessFigures | undefined {
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

/** The figures of a process; undefined if it has ended, or where there is no /proc. */
export async function processFigures(pid: number): Promise<ProcessFigures | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return figuresIn(status)
}
