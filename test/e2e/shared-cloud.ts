import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { accounts, seedAccounts } from '../../lib/platform/identity/builtin/accounts.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { systemClock, systemRandom } from '../../lib/wiring/system.ts'
import { type Coffer, launchInto, login, loginAs, type OpenrcFile, type Session, startCoffer, wipe } from './coffer.ts'
import { tempDir } from './temp-dir.ts'

/** What the workers are told about the cloud that Jest's global setup has started, as JSON. */
const VARIABLE = 'COFFER_SHARED_CLOUD'

interface Address {
  dataDir: string
  base: string
  log: string
}

/** A cloud that the test does not own: it cannot end it. */
export type SharedCoffer = Pick<Coffer, 'dataDir' | 'base' | 'output' | 'login'>

let running: { coffer: Coffer; dir: string; removeAtExit(): void } | undefined

/** Starts the cloud with two projects for each test file. Tells the workers where it is. Leaves nothing if it fails. */
export async function startSharedCloud(testFiles: string[]): Promise<void> {
  const dir = tempDir()
  // Jest may exit without the teardown. A cloud whose directory is gone ends by itself.
  const removeAtExit = () => void spawnSync('rm', ['-rf', dir])
  process.once('exit', removeAtExit)
  try {
    const log = join(dir, 'coffer.log')
    const dataDir = join(dir, 'data')
    const coffer = await startCoffer(dataDir, [], args => launchInto(args, log))
    await seedProjects(dataDir, testFiles)
    running = { coffer, dir, removeAtExit }
    process.env[VARIABLE] = JSON.stringify({ dataDir, base: coffer.base, log } satisfies Address)
  } catch (error) {
    process.off('exit', removeAtExit)
    await wipe(dir)
    throw error
  }
}

/** Stops the cloud and removes its directory. Throws if it does not end well. */
export async function stopSharedCloud(): Promise<void> {
  if (!running) return
  const { coffer, dir, removeAtExit } = running
  running = undefined
  try {
    const code = await coffer.stop()
    if (code !== 0) throw new Error(`the shared cloud ended with ${code}:\n${coffer.output().slice(-2_000)}`)
  } finally {
    process.off('exit', removeAtExit)
    await wipe(dir)
  }
}

/** Each test file has a project, and a second one for what must stay apart from the first. */
const projectsOf = (testFile: string) => {
  const name = basename(testFile, '.test.ts')
  return { openrc: name, 'openrc-alt': `${name}-alt` }
}
const accountOf = (project: string) => ({ user: project, project, password: `password of ${project}` })

/** Writes accounts to the store, as `local/accounts.ts` does: the API has no route that creates projects. */
async function seedProjects(dataDir: string, testFiles: string[]): Promise<void> {
  const store = sqliteStore(join(dataDir, 'coffer.db'), { clock: systemClock })
  try {
    const projects = testFiles.flatMap(file => Object.values(projectsOf(file)))
    const seed = (project: string) => ({ ...accountOf(project), roles: ['member'] })
    const service = accounts(store, systemRandom)
    await Promise.all(projects.map(project => seedAccounts(service, [seed(project)])))
  } finally {
    await store.close()
  }
}

/** The cloud of the global setup, as the test file sees it: `login` is to the file's projects, or as the admin. */
export function sharedCoffer(testFile: string): SharedCoffer {
  const text = process.env[VARIABLE]
  if (text === undefined) throw new Error('no shared cloud: run this file in the Jest project e2e-shared')
  const { dataDir, base, log }: Address = JSON.parse(text)
  return {
    dataDir,
    base,
    output: () => readFileSync(log, 'utf8'),
    login: (file: OpenrcFile = 'openrc'): Promise<Session> =>
      file === 'openrc-admin' ? login(join(dataDir, file)) : loginAs(base, accountOf(projectsOf(testFile)[file])),
  }
}
