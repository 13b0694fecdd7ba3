import { writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'

/** Notes a measurement: its title, the values of its repetitions, and their unit (`ms` by default). */
export type Note = (title: string, values: number[], unit?: string) => void

interface Row {
  title: string
  median: number
  p95: number
  unit: string
  runs: number
}

/** The table of a run. `print` prints it and writes it as JSON beside this file. */
export function table(): { note: Note; print(): void } {
  const rows: Row[] = []
  return {
    note(title, values, unit = 'ms') {
      const quantileOf = (share: number) => round(quantile(values, share))
      rows.push({ title, median: quantileOf(0.5), p95: quantileOf(0.95), unit, runs: values.length })
      console.log(`${title}: ${quantileOf(0.5)} ${unit}`)
    },
    print() {
      const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, load: loadavg() }
      console.log(
        `Node.js ${machine.node}, ${machine.cores} × ${machine.cpu}, load ${machine.load.map(round).join(' ')}`,
      )
      console.table(rows)
      const path = join(import.meta.dirname, 'latest.json')
      writeFileSync(path, `${JSON.stringify({ ...machine, rows }, null, 2)}\n`)
      console.log(`written to ${path}`)
    },
  }
}

const round = (value: number) => Math.round(value * 100) / 100

/** The value below which that share (0 to 1) of the values lies. */
export function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

export const median = (values: number[]) => quantile(values, 0.5)

/** Runs the work; returns how long it took, in milliseconds. */
export async function measureMs(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** Runs the work `count` times; returns the milliseconds of each. */
export async function repeatMs(count: number, work: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  for (let run = 0; run < count; run++) times.push(await measureMs(work))
  return times
}
