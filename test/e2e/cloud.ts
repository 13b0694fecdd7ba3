import { join } from 'node:path'
import { afterAll, beforeAll, expect } from '@jest/globals'
import { type Coffer, processesOf, type Session, startCoffer, wipe } from './coffer.ts'
import { type SharedCoffer, sharedCoffer } from './shared-cloud.ts'
import { tempDir } from './temp-dir.ts'

/** A database with a user, with which most tests create their instance. */
export const CART = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}
/** How that user connects. */
export const ANN = { user: 'ann', password: 'pw1', database: 'cart' }

/** A cloud and its users. The objects are filled in before the first test: a file may destructure them at its top. */
export interface Cloud<C> {
  coffer: C
  demo: Session
  alt: Session
  admin: Session
}

export interface OwnCloud extends Cloud<Coffer> {
  /** Stops the cloud, which has to end without leaving a process, starts it again on its data directory and logs in. */
  restart(): Promise<void>
  /** Goes on with the cloud that was started on the same data directory, and logs in. */
  resume(next: Coffer): Promise<void>
}

const tooEarly = (): never => {
  throw new Error('the cloud starts before the first test: use it in tests and hooks only')
}
const loggedOut = (): Session => ({ project: '', token: '', call: tooEarly })

/**
 * A cloud of its own for this test file, on an empty data directory or on what `prepare` makes. It has to end well,
 * without unexpected failures and without leaving a process.
 */
export function ownCloud(args: string[] = [], prepare?: (dataDir: string) => void): OwnCloud {
  const coffer: Coffer = {
    ...{ dataDir: '', base: '', pid: 0 },
    ...{ output: tooEarly, login: tooEarly, stop: tooEarly, kill: tooEarly },
  }
  const cloud = { coffer, demo: loggedOut(), alt: loggedOut(), admin: loggedOut() }
  async function resume(next: Coffer): Promise<void> {
    Object.assign(coffer, next)
    await logIn(cloud)
  }
  async function restart(): Promise<void> {
    expect(await coffer.stop()).toBe(0)
    expect(processesOf(coffer.dataDir)).toEqual([])
    await resume(await startCoffer(coffer.dataDir, args))
  }
  let dir: string | undefined
  beforeAll(async () => {
    dir = tempDir()
    const dataDir = join(dir, 'data')
    prepare?.(dataDir)
    await resume(await startCoffer(dataDir, args))
  })
  afterAll(async () => {
    if (dir === undefined) return
    try {
      expect(await coffer.stop()).toBe(0)
      expect(processesOf(dir)).toEqual([])
      expect(unexpectedFailures(coffer)).toEqual([])
    } finally {
      await wipe(dir)
    }
  })
  return { ...cloud, restart, resume }
}

/**
 * The cloud of the Jest project `e2e-shared`. `demo` and `alt` are in projects of this test file only, `admin` is the
 * cloud's. Everything else belongs to other files, which run at the same time.
 */
export function sharedCloud(): Cloud<SharedCoffer> {
  const coffer: SharedCoffer = { dataDir: '', base: '', output: tooEarly, login: tooEarly }
  const cloud = { coffer, demo: loggedOut(), alt: loggedOut(), admin: loggedOut() }
  beforeAll(async () => {
    Object.assign(coffer, sharedCoffer(expect.getState().testPath ?? ''))
    await logIn(cloud)
  })
  afterAll(async () => {
    await Promise.all([cloud.demo, cloud.alt].map(deleteInstances))
    expect(unexpectedFailures(coffer)).toEqual([])
  })
  return cloud
}

async function logIn({ coffer, demo, alt, admin }: Cloud<Pick<Coffer, 'login'>>): Promise<void> {
  const logins = [coffer.login('openrc'), coffer.login('openrc-alt'), coffer.login('openrc-admin')]
  const sessions = await Promise.all(logins)
  for (const [index, session] of [demo, alt, admin].entries()) Object.assign(session, sessions[index])
}

/** Deletes what the file has left, so that the shared cloud stays small. Nothing waits for the end. */
async function deleteInstances(session: Session): Promise<void> {
  const { instances } = (await session.call('GET', '/instances')).body
  await Promise.all(instances.map(({ id }: { id: string }) => session.call('DELETE', `/instances/${id}`)))
}

/** The control plane logs an unexpected failure with its stack. */
function unexpectedFailures({ output }: Pick<Coffer, 'output'>): string[] {
  return output().match(/^.*(request failed|gateway failed).*$/gm) ?? []
}
