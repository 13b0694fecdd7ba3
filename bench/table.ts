import { writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'

/** How a figure is noted: what, its repetitions, unit. */
export type Note = (what: string, values: number[], unit?: string) => void

interface Row {
  what: string
  median: number
  p95: number
  unit: string
  runs: number
}

/** The one table of a run. `print` shows it and writes it as JSON beside this file. */
export function table(): { note: Note; print(): void } {
  const rows: Row[] = []
  return {
    note(what, values, unit = 'ms') {
      const at = (share: number) => rounded(quantile(values, share))
      rows.push({ what, median: at(0.5), p95: at(0.95), unit, runs: values.length })
      console.log(`${what}: ${at(0.5)} ${unit}`)
    },
    print() {
      const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, load: loadavg() }
      console.log(
        `Node.js ${machine.node}, ${machine.cores} × ${machine.cpu}, load ${machine.load.map(rounded).join(' ')}`,
      )
      console.table(rows)
      const path = join(import.meta.dirname, 'latest.json')
      writeFileSync(path, `${JSON.stringify({ ...machine, rows }, null, 2)}\n`)
      console.log(`written to ${path}`)
    },
  }
}

const rounded = (value: number) => Math.round(value * 100) / 100

/** The value below which that share of the values is. */
export function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

export const median = (values: number[]) => quantile(values, 0.5)

/** How long the work takes, in milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

export async function repeated(count: number, work: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  for (let run = 0; run < count; run++) times.push(await timed(work))
  return times
}
