import { chown, copyFile, mkdir, realpath, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { kill } from 'node:process'
import { alive, type Running, runningAs } from '../../kit/process.ts'
import type { Site } from '../driver.ts'
import { layout, majorIn, spawnServer } from './engine.ts'
import { type Owner, textOf, unlessMissing, writePrivate } from './files.ts'
import { enforcing, hbaText } from './hba.ts'
import { knowsProcesses, serverAs, serversIn } from './process.ts'
import { settingsFor, settingsText } from './settings.ts'
import { sslSettings, sslState } from './ssl-state.ts'

const TICK = 5
const ENDED_TICK = 200
/** Crash recovery may read much; past this the start has failed. */
const START_LIMIT = 15 * 60_000
const FAST_STOP_LIMIT = 30_000
const HARD_STOP_LIMIT = 15_000
const LOG_LIMIT = 10 * 1024 * 1024
const INCLUDE = "include 'coffer.conf'"

/** The server process of a volume. */
export type Server = ReturnType<typeof postgresqlServer>

/** What a server in its start says of itself. */
type Phase = 'starting' | 'ready' | 'stopping' | undefined

/** What the server died of, on a line for itself, and what it wrote. */
function notStarted(written: string): string {
  // Before it has read its control file, it says so in words of its own.
  const died = [...written.matchAll(/(?:FATAL|PANIC): +(.*)/g)].at(-1)?.[1] ?? written.split('\n')[0]
  return `the server did not start: ${died}\n${written}`
}

/** The server process of a volume: started, found again, stopped. It knows nothing of SQL. */
export function postgresqlServer(site: Site, owner?: Owner) {
  const { clock, volume } = site
  const { data, log } = layout(volume)
  const pidFile = join(data, 'postmaster.pid')

  const pidLines = async () => (await textOf(pidFile))?.split('\n') ?? []
  const phase = async (): Promise<Phase> => {
    const word = (await pidLines())[7]?.trim()
    if (word === 'starting' || word === 'stopping') return word
    return word ? 'ready' : undefined
  }

  /** The server last seen: its directory may be removed under it. */
  let last: Running | undefined

  /** The server that runs on this data directory, whoever started it. */
  async function find(): Promise<Running | undefined> {
    const pid = Number((await pidLines())[0])
    const directory = await unlessMissing(realpath(data))
    const found = pid > 0 && directory ? await serverAs(pid, directory) : undefined
    last = found ?? last
    return found
  }

  /** Waits until the condition holds; false if it still does not after `limit` ms. */
  async function until(limit: number, holds: () => Promise<boolean>): Promise<boolean> {
    const deadline = clock.now() + limit
    while (!(await holds())) {
      if (clock.now() >= deadline) return false
      await clock.sleep(TICK)
    }
    return true
  }

  async function signal(process: Running, name: 'SIGHUP' | 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void> {
    if (await alive(process)) kill(process.pid, name)
  }

  /** Ends what a killed server left: its children, which hold its memory, and its pid file, whose pid may be another's. */
  async function clear(): Promise<void> {
    const children = await serversIn(await realpath(data))
    for (const name of ['SIGQUIT', 'SIGKILL'] as const) {
      await Promise.all(children.map(child => signal(child, name)))
      if (await until(5_000, async () => !(await Promise.all(children.map(alive))).includes(true))) break
    }
    if (knowsProcesses) await rm(pidFile, { force: true })
  }

  /** Keeps the log from filling the volume. The server appends, so it goes on at the beginning of the emptied file. */
  async function boundLog(): Promise<void> {
    const size = (await unlessMissing(stat(log)))?.size ?? 0
    if (size <= LOG_LIMIT) return
    await copyFile(log, `${log}.1`)
    await truncate(log)
  }

  let configuring = Promise.resolve()
  /** Writes the server's files for how things are now: one writer at a time. */
  function configure(): Promise<void> {
    configuring = configuring.catch(() => {}).then(writeFiles)
    return configuring
  }

  async function writeFiles(): Promise<void> {
    const major = await majorIn(volume)
    const settings = { ...settingsFor(site, major), ...(await sslSettings(volume)) }
    await writePrivate(join(data, 'coffer.conf'), settingsText(settings), owner)
    if (major < 17) await forbidAlterSystem()
    const main = join(data, 'postgresql.conf')
    const text = (await textOf(main)) ?? ''
    if (!text.endsWith(`${INCLUDE}\n`)) await writePrivate(main, `${text}\n${INCLUDE}\n`, owner)
    // Later ones are written as users' hosts change, and stay over restarts.
    const hba = join(data, 'pg_hba.conf')
    const rules = await textOf(hba)
    const known = rules?.startsWith('# Written by Coffer') ? rules : hbaText([])
    const wanted = enforcing(known, (await sslState(volume)).mode === 'enforced')
    if (wanted !== rules) await writePrivate(hba, wanted, owner)
  }

  /** Before the setting for it: a folder where ALTER SYSTEM writes its draft. What it wrote before is forgotten. */
  async function forbidAlterSystem(): Promise<void> {
    const written = join(data, 'postgresql.auto.conf')
    await writePrivate(written, '# Not used.\n', owner)
    await mkdir(`${written}.tmp`, { recursive: true, mode: 0o700 })
    if (owner) await chown(`${written}.tmp`, owner.uid, owner.gid)
  }

  async function lastLines(from: number): Promise<string> {
    const text = (await textOf(log)) ?? ''
    return Buffer.from(text).subarray(from).toString().trim().split('\n').slice(-20).join('\n')
  }

  async function launch(): Promise<void> {
    const logged = (await unlessMissing(stat(log)))?.size ?? 0
    const running = await runningAs(await spawnServer(site.engine, volume, owner))
    last = running ?? last
    const gone = async () => !running || !(await alive(running))
    const ready = async () => Number((await pidLines())[0]) === running?.pid && (await phase()) === 'ready'
    const up = await until(START_LIMIT, async () => (await gone()) || (await ready()))
    if (!up || (await gone())) throw new Error(notStarted(await lastLines(logged)))
  }

  let starting = Promise.resolve()
  function start(): Promise<void> {
    starting = begin()
    return starting
  }

  async function begin(): Promise<void> {
    const running = await find()
    if (running) {
      const decided = async () => (await phase()) === 'ready' || !(await alive(running))
      if (!(await until(START_LIMIT, decided))) throw new Error('the server that runs does not become ready')
      site.log.info({ pid: running.pid }, 'found a server that runs already')
      if (await alive(running)) return
    }
    await clear()
    await configure()
    await boundLog()
    await launch()
  }

  async function stop(): Promise<void> {
    const running = (await find()) ?? last
    if (!running) return
    const gone = async () => !(await alive(running))
    await signal(running, 'SIGINT')
    if (await until(FAST_STOP_LIMIT, gone)) return
    site.log.warn({ pid: running.pid }, 'the server did not stop in time; it is ended at once and will recover')
    await signal(running, 'SIGQUIT')
    if (!(await until(HARD_STOP_LIMIT, gone))) throw new Error('the server does not stop')
  }

  async function ended(aborted: AbortSignal): Promise<void> {
    const running = await find()
    while (running && !aborted.aborted && (await alive(running))) await clock.sleep(ENDED_TICK, aborted)
  }

  /** Makes the server read its files again; one that is starting, once it has: it may have read them already. */
  async function reload(): Promise<void> {
    await starting.catch(() => {})
    const running = await find()
    if (running) await signal(running, 'SIGHUP')
  }

  /** Whether a cluster is there that was configured once. */
  const configured = async () => (await textOf(join(data, 'coffer.conf'))) !== undefined
  /** A clean stop removes the pid file, a violent end leaves it. */
  const crashed = async () => (await pidLines()).length > 0

  return { start, stop, ended, configure, reload, find, phase, configured, crashed, boundLog }
}
