import { setTimeout as sleep } from 'node:timers/promises'
import { authority } from './api.ts'
import {
  endStateProblem,
  fleetProblems,
  isServing,
  isStopped,
  memoryProblems,
  openOperations,
  quotaProblems,
  type View,
} from './checks.ts'
import type { SoakedCoffer } from './coffer.ts'
import { act, type Cast } from './driver.ts'
import type { Journal } from './journal.ts'
import { killAtRandom } from './killer.ts'
import type { Fleet } from './ledger.ts'
import {
  commandsOf,
  countByType,
  folderLeftovers,
  groupLeftovers,
  metricLeftovers,
  operationsByEnd,
  processLeftovers,
  readRows,
  recordLeftovers,
} from './leftovers.ts'
import { loginProblems, rowProblems, sqlWith } from './logins.ts'
import type { SoakOptions } from './options.ts'
import { processesOf } from './processes.ts'
import { seededRandom } from './random.ts'
import type { Summary } from './report.ts'
import { pathOf } from './scene.ts'
import { read, survey, watchOperations } from './survey.ts'

const PAUSE_MS = 1_000
/** Longer than any operation takes that a kill has delayed. */
const OPERATION_MS = 150_000
/** How long the last traces of deleted instances may take to go. */
const TRACES_MS = 30_000

/** What all phases work with. */
export interface Soak {
  options: SoakOptions
  coffer: SoakedCoffer
  cast: Cast
  fleet: Fleet
  journal: Journal
  /** Aborted when the soak is to end at once. */
  interrupt: AbortSignal
}

/** Lets the actors act, the killer kill and the watch watch, for the time that the options say. */
export async function runActors({ options, coffer, cast, fleet, journal, interrupt }: Soak): Promise<void> {
  const signal = AbortSignal.any([interrupt, AbortSignal.timeout(options.minutes * 60_000)])
  const stage = { fleet, journal, ca: authority(coffer.dataDir) }
  const random = seededRandom(options.seed)
  await Promise.all([
    act(options.actors, options.seed, cast, stage, signal),
    watchOperations(cast, OPERATION_MS, journal, signal),
    options.kills && killAtRandom(coffer, options.killSeconds * 1_000, random, journal, signal),
  ])
}

/** Waits until nothing is under way and all is well; what still is after the options' time is a problem. */
export async function settle({ options, cast, fleet, journal, interrupt }: Soak): Promise<View[]> {
  const end = Date.now() + options.settleSeconds * 1_000
  for (;;) {
    interrupt.throwIfAborted()
    const views = await survey(cast)
    const problems = [
      ...openOperations(views),
      ...views.flatMap(view => endStateProblem(view) ?? []),
      ...fleetProblems(fleet.entries, views),
    ]
    if (problems.length === 0) return views
    if (Date.now() > end) {
      for (const problem of problems) journal.problem(problem)
      return views
    }
    await sleep(PAUSE_MS)
  }
}

/** Starts the databases that an admin has stopped, so that their users can be checked too. */
export async function startStopped(soak: Soak, views: View[]): Promise<View[]> {
  const stopped = views.filter(isStopped)
  for (const { owner, instance } of stopped) {
    await soak.cast.members[owner]?.callOnce('restart', `${pathOf(instance)}/action`, { restart: {} })
  }
  return stopped.length === 0 ? views : settle(soak)
}

/** Quotas, memory, commands, users and rows of what lives. Resolves to how many users were checked. */
export async function checkLiving({ cast, coffer, fleet, journal }: Soak, views: View[]): Promise<number> {
  const note = (problems: string[]) => {
    for (const problem of problems) journal.problem(problem)
  }
  note(await quotaProblemsOf(cast, views))
  const { hosts } = (await read(cast.admin, '/mgmt/hosts')).body
  for (const host of hosts) note(memoryProblems(host, views))
  const commands = commandsOf(readRows(coffer.dataDir))
  for (const { method, status, error } of commands) {
    if (status === 'issued') journal.problem(`a command ${method} was never done`)
    if (status === 'failed') journal.remark(`a command ${method} failed: ${error?.message}`)
  }
  const statusOf = (requestId: string) => commands.find(command => command.requestId === requestId)?.status
  const sql = sqlWith(authority(coffer.dataDir))
  let logins = 0
  for (const { instance } of views.filter(isServing)) {
    const entry = fleet.entries.find(({ id }) => id === instance.id)
    if (!entry) continue
    note(await loginProblems(sql, instance, entry, statusOf))
    note(await rowProblems(sql, instance, entry))
    logins += entry.changes.size
  }
  return logins
}

/** Quotas of all members that are not what these instances take. */
async function quotaProblemsOf({ members, admin }: Cast, views: View[]): Promise<string[]> {
  const problems = await Promise.all(
    Object.entries(members).map(async ([owner, { project }]) =>
      quotaProblems(owner, (await read(admin, `/mgmt/quotas/${project}`)).body.quotas, views),
    ),
  )
  return problems.flat()
}

/** Deletes all instances and waits until they are gone. */
export async function deleteAll(soak: Soak, views: View[]): Promise<void> {
  const { cast, fleet } = soak
  for (const { owner, instance } of views) {
    const entry = fleet.entries.find(({ id }) => id === instance.id)
    if (entry) entry.isDeleteSent = true
    const reply = await cast.members[owner]?.call('delete', 'DELETE', pathOf(instance))
    if (entry && reply?.status === 202) entry.isDeleted = true
  }
  for (const { instance } of await settle(soak)) soak.journal.problem(`instance ${instance.id} was not deleted`)
}

/** What is left when everything is deleted; waits a while for it to go. Resolves to what the store remembers. */
export async function checkTraces(soak: Soak): Promise<Pick<Summary, 'records' | 'operations'>> {
  const { coffer, cast, fleet, journal } = soak
  const ids = fleet.entries.map(({ id }) => id)
  const end = Date.now() + TRACES_MS
  for (;;) {
    const rows = readRows(coffer.dataDir)
    const processes = processesOf(coffer.dataDir)
    const host = processes.find(({ args }) => args.includes('host/main.ts'))
    const metrics = await (await fetch(`${coffer.base}/metrics`)).text()
    const traces = [
      ...folderLeftovers(coffer.dataDir),
      ...groupLeftovers(ids),
      ...recordLeftovers(rows),
      ...metricLeftovers(metrics),
      ...processLeftovers(processes, [coffer.control?.pid, host?.pid]),
      ...(await quotaProblemsOf(cast, [])),
    ]
    if (traces.length > 0 && Date.now() < end) {
      await sleep(PAUSE_MS)
      continue
    }
    for (const trace of traces) journal.problem(trace)
    return { records: countByType(rows), operations: operationsByEnd(rows) }
  }
}

/** Stops Coffer in order; no process of it may be left. */
export async function checkStop({ coffer, journal }: Soak): Promise<void> {
  const code = await coffer.stop()
  if (code !== 0) journal.problem(`Coffer ended with ${code} when it was stopped`)
  for (const problem of processLeftovers(processesOf(coffer.dataDir), [])) journal.problem(`after the stop, ${problem}`)
}
