import { readFileSync } from 'node:fs'
import { processesOf } from '../test/e2e/coffer.ts'

/** A process's CPU seconds, and its memory in MB: resident (`rss`), and with shared pages counted in part (`pss`). */
export function usageOf(pid: number): { cpu: number; rss: number; pss: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const field = (file: string, name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))?.[1]) / 1024
  // utime and stime, the 14th and 15th fields, in ticks of 10 ms.
  const cpu = (Number(stat[11]) + Number(stat[12])) / 100
  return { cpu, rss: field('status', 'VmRSS'), pss: field('smaps_rollup', 'Pss') }
}

/** A process of a local cloud. */
export interface Part {
  name: 'control plane' | 'host daemon' | 'guest agent'
  pid: number
}

/** Coffer's own processes of a local cloud, without the databases. */
export function partsOf({ dataDir, pid: control }: { dataDir: string; pid: number }): Part[] {
  const others = processesOf(dataDir).filter(({ pid }) => pid !== control)
  return [{ name: 'control plane', pid: control }, ...others.flatMap(({ pid, args }): Part[] => partOf(pid, args))]
}

function partOf(pid: number, args: string): Part[] {
  if (args.includes('/host/main.ts')) return [{ name: 'host daemon', pid }]
  if (args.includes('guest-agent.mjs')) return [{ name: 'guest agent', pid }]
  return []
}
