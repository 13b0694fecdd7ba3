import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Journal } from './journal.ts'

/** How many remarks of a kind are printed; all are in the log. */
const MAX_REMARKS = 40

/** Lines of the control plane that mean a fault of the program itself. */
const UNEXPECTED = /request failed|gateway failed|"level":"fatal"|uncaught|unhandled/i

/** Lines by which a control plane says that it failed unexpectedly. */
export const unexpectedLines = (output: string): string[] => output.split('\n').filter(line => UNEXPECTED.test(line))

/** What the outputs of all control planes say of unexpected failures. */
export const outputProblems = (logDir: string): string[] =>
  globSync(join(logDir, 'control-*.log')).flatMap(path =>
    unexpectedLines(readFileSync(path, 'utf8')).map(line => `${basename(path)}: ${line.slice(0, 600)}`),
  )

/** How often each message was logged as an error, in these texts. */
export function countErrors(texts: string[]): [string, number][] {
  const counts = new Map<string, number>()
  for (const line of texts.flatMap(text => text.split('\n'))) {
    if (!line.startsWith('{"level":"error"')) continue
    const message = /"msg":"([^"]*)"/.exec(line)?.[1] ?? line.slice(0, 100)
    counts.set(message, (counts.get(message) ?? 0) + 1)
  }
  return [...counts].sort(([, a], [, b]) => b - a)
}

/** What a soak came to. */
export interface Summary {
  seed: number
  minutes: number
  /** Starts of the control plane. */
  starts: number
  instances: number
  settledSeconds: number
  /** Records that remain, by type. */
  records: [string, number][]
  /** Operations by how they ended. */
  operations: [string, number][]
  logins: number
}

/** The report, as text for people. */
export function reportText(journal: Journal, summary: Summary, errors: [string, number][]): string {
  const { seed, minutes, starts, instances, settledSeconds, records, operations, logins } = summary
  const kinds = Map.groupBy(journal.kills, ({ kind }) => kind)
  const kills = [...kinds].map(([kind, list]) => `${kind} ${list.length}`).join(', ') || 'none'
  const lines = [
    `seed ${seed}, ${minutes} minutes, ${instances} instances created, the control plane started ${starts} times`,
    `kills: ${journal.kills.length} (${kills})`,
    `at rest ${settledSeconds} s after the end of the actions; users checked: ${logins}`,
    ...section('actions by status', rows(journal.counts)),
    ...section('operations by their end', rows(operations)),
    ...section('errors in the logs', rows(errors)),
    ...section('records that remain', rows(records)),
    ...section('remarks', journal.remarks.slice(0, MAX_REMARKS)),
    ...section('problems', journal.problems),
  ]
  return `${lines.join('\n')}\n`
}

const rows = (counts: [string, number][]) => counts.map(([name, count]) => `${String(count).padStart(6)}  ${name}`)

const section = (title: string, lines: string[]) =>
  lines.length === 0 ? [] : ['', `${title}:`, ...lines.map(line => `  ${line}`)]

/** Writes the report beside the logs, as text and as JSON. */
export function writeReport(logDir: string, text: string, journal: Journal, summary: Summary): void {
  const { kills, counts, problems, remarks } = journal
  writeFileSync(join(logDir, 'report.txt'), text)
  writeFileSync(
    join(logDir, 'report.json'),
    `${JSON.stringify({ ...summary, kills, counts, problems, remarks }, null, 2)}\n`,
  )
}
