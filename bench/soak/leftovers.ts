import { existsSync, globSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { CommandStatus } from './ledger.ts'
import type { RunningProcess } from './processes.ts'

/** A record of the store, as it is in the file. */
export interface StoredRow {
  id: string
  body: string
  expires: number | null
}

/** All records of the data directory's store. */
export function readRows(dataDir: string): StoredRow[] {
  const db = new DatabaseSync(join(dataDir, 'coffer.db'), { readOnly: true })
  try {
    const rows = db.prepare('SELECT id, body, expires FROM records').all()
    return rows.map(({ id, body, expires }) => ({
      ...{ id: String(id), body: String(body) },
      expires: typeof expires === 'number' ? expires : null,
    }))
  } finally {
    db.close()
  }
}

export const typeOf = ({ id }: Pick<StoredRow, 'id'>): string => id.replace(/#.*/s, '')

/** What a Coffer remembers of what is gone, for a time: each of these has an end. */
const EXPIRING = new Set([
  ...['tombstone', 'audit', 'idempotency', 'saga', 'command', 'machine', 'answer'],
  ...['revoked', 'attempt', 'throttle', 'guest'],
])
/** What stays: identity, hosts, datastores, certificates and limits. */
const LASTING = new Set([
  ...['user', 'username', 'project', 'projectname', 'grant', 'appcred', 'appcredid'],
  ...['host', 'datastore', 'ca', 'limits'],
])
/** Amounts, and the field that is 0 when nothing exists. */
const AMOUNTS: Record<string, string> = { quota: 'used', 'host-use': 'ramMb' }

/** Records that nothing needs when all instances are deleted. */
export const recordLeftovers = (rows: StoredRow[]): string[] =>
  rows
    .filter(row => {
      const type = typeOf(row)
      if (LASTING.has(type)) return false
      const amount = AMOUNTS[type]
      if (amount !== undefined) return (JSON.parse(row.body)[amount] ?? 0) !== 0
      return !EXPIRING.has(type) || row.expires === null
    })
    .map(({ id, body }) => `the record ${id} is left: ${body.slice(0, 300)}`)

/** How often each word is there, in the order of the words. */
function countWords(words: string[]): [string, number][] {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1))
}

/** How many records of each type there are. */
export const countByType = (rows: StoredRow[]): [string, number][] => countWords(rows.map(typeOf))

export interface CommandRow {
  requestId: string
  method: string
  status: CommandStatus
  error?: { message: string }
}

/** The commands to agents that the store has records of. */
export const commandsOf = (rows: StoredRow[]): CommandRow[] =>
  rows.filter(row => typeOf(row) === 'command').map(({ body }) => JSON.parse(body))

/** How often each operation ended in each way, with its reason; one that has not ended is left. */
export function operationsByEnd(rows: StoredRow[]): [string, number][] {
  const ends = rows
    .filter(row => typeOf(row) === 'saga')
    .map(({ body }) => {
      const { name, status, error } = JSON.parse(body)
      const reason = status === 'DONE' || error === undefined ? '' : `: ${String(error).slice(0, 200)}`
      return `${name} ${status}${reason}`
    })
  return countWords(ends)
}

/** What is left in the folders of a data directory when all instances are deleted. */
export function folderLeftovers(dataDir: string): string[] {
  const names = (folder: string) => (existsSync(join(dataDir, folder)) ? readdirSync(join(dataDir, folder)) : [])
  const folders = ['volumes', 'servers', join('state', 'volumes'), join('state', 'servers')]
  return folders.flatMap(folder => names(folder).map(name => `${folder}/${name} is left`))
}

/** At which depths below the kernel's folder of control groups a Coffer makes its groups. */
const GROUPS = ['coffer/*', '*/coffer/*', '*/*/coffer/*', '*/*/*/coffer/*']

/** Control groups of these instances; other Coffers of the machine have theirs beside them. */
export const groupLeftovers = (ids: string[], root = '/sys/fs/cgroup'): string[] =>
  globSync(GROUPS, { cwd: root })
    .filter(path => ids.some(id => path.includes(id)))
    .map(path => `the control group ${path} is left`)

/** What a Coffer without instances does not need: all but its control plane and its host daemon. */
export const processLeftovers = (processes: RunningProcess[], services: (number | undefined)[]): string[] =>
  processes
    .filter(({ pid }) => !services.includes(pid))
    .map(({ pid, uid, args, cwd }) => `process ${pid} of uid ${uid} is left, in ${cwd}: ${args.slice(0, 300)}`)

/** Messages that wait, agents and operations, by the text of `GET /metrics`. */
export const metricLeftovers = (text: string): string[] =>
  text
    .split('\n')
    .filter(line => /^coffer_(queue_messages|guests|guests_silent|operations)[ {]/.test(line) && !/ 0$/.test(line))
    .map(line => `the metrics still have ${line}`)
