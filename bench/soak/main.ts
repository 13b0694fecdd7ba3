import { chmodSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../lib/kit/errors.ts'
import { logIn } from './api.ts'
import { SoakedCoffer } from './coffer.ts'
import { Journal } from './journal.ts'
import { Fleet } from './ledger.ts'
import { readSoakOptions, type SoakOptions } from './options.ts'
import { checkLiving, checkStop, checkTraces, deleteAll, runActors, type Soak, settle, startStopped } from './phases.ts'
import { killProcess, processesOf } from './processes.ts'
import { countErrors, outputProblems, reportText, type Summary, writeReport } from './report.ts'

/** `npm run soak`: random actions on a real Coffer whose processes are killed, then whether all is as it should be. */
const END_MS = 30_000

/** The folders of a run; both are made by it. */
interface Folders {
  dataDir: string
  logDir: string
}

function makeFolders({ dataDir: requested }: SoakOptions): Folders {
  const folder = mkdtempSync(join(tmpdir(), 'coffer-soak-'))
  // Instances run as other users, which have to enter it.
  chmodSync(folder, 0o755)
  const logDir = join(folder, 'logs')
  mkdirSync(logDir, { mode: 0o700 })
  if (requested === undefined) return { dataDir: join(folder, 'data'), logDir }
  const dataDir = isAbsolute(requested) ? requested : resolve(process.env['INIT_CWD'] ?? process.cwd(), requested)
  if (existsSync(dataDir)) throw new Error(`--data-dir ${dataDir} exists already: a soak needs a new folder`)
  return { dataDir, logDir }
}

async function run(options: SoakOptions, { dataDir, logDir }: Folders, journal: Journal, interrupt: AbortSignal) {
  const coffer = new SoakedCoffer({ dataDir, logDir, onProblem: what => journal.problem(what) })
  const summary: Summary = {
    ...{ seed: options.seed, minutes: options.minutes },
    ...{ starts: 0, instances: 0, settledSeconds: 0, records: [], operations: [], logins: 0 },
  }
  try {
    await coffer.start()
    const logInAs = (file: 'openrc' | 'openrc-alt' | 'openrc-admin') => logIn(coffer, file, journal)
    const members = { demo: await logInAs('openrc'), alt: await logInAs('openrc-alt') }
    const cast = { members, admin: await logInAs('openrc-admin') }
    const soak: Soak = { options, coffer, cast, fleet: new Fleet(options.instances), journal, interrupt }
    await runActors(soak)
    console.log(`${journal.kills.length} kills; waiting until all is at rest`)
    const start = Date.now()
    const views = await startStopped(soak, await settle(soak))
    summary.settledSeconds = Math.round((Date.now() - start) / 1_000)
    summary.logins = await checkLiving(soak, views)
    await deleteAll(soak, views)
    Object.assign(summary, await checkTraces(soak))
    summary.instances = soak.fleet.entries.length
    await checkStop(soak)
  } catch (error) {
    journal.problem(`the soak broke off: ${messageOf(error)}`)
  } finally {
    await coffer.stop()
    await endAll(dataDir)
  }
  return { ...summary, starts: coffer.starts }
}

/** Ends what is left of a run's Coffer, so that it does not stay for ever. What was left is noted before. */
async function endAll(dataDir: string): Promise<void> {
  const end = Date.now() + END_MS
  while (Date.now() < end) {
    const rest = processesOf(dataDir)
    if (rest.length === 0) return
    for (const target of rest) await killProcess(target)
    await sleep(100)
  }
}

const options = readSoakOptions(process.argv.slice(2))
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort())
const folders = makeFolders(options)
const { dataDir, logDir } = folders
const journal = new Journal(logDir)
console.log(`soak of ${options.minutes} minutes, seed ${options.seed}, logs in ${logDir}`)
const summary = await run(options, folders, journal, stopping.signal)
for (const problem of outputProblems(logDir)) journal.problem(problem)
const logs = [...globSync(join(logDir, 'control-*.log')), join(dataDir, 'host.log')].filter(existsSync)
const text = reportText(journal, summary, countErrors(logs.map(path => readFileSync(path, 'utf8'))))
writeReport(logDir, text, journal, summary)
console.log(text)
if (journal.problems.length > 0) {
  console.log(`${journal.problems.length} problems; the logs are in ${logDir}, the data in ${dataDir}`)
  process.exit(1)
}
// Nothing of it runs any more, so nobody changes the folders while they are removed.
for (const folder of [dataDir, join(logDir, '..')]) rmSync(folder, { recursive: true, force: true })
process.exit(0)
