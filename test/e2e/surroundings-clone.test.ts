import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import {
  createInstance,
  deleteInstance,
  processesOf,
  type Started,
  startCoffer,
  startedAs,
  tempDir,
  until,
  wipe,
} from './coffer.ts'
import { clean } from './leftovers.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const PARTS = ['package.json', 'package-lock.json', 'bin', 'functions', 'guest-agent', 'host', 'lib', 'local']
const NOBODY = 65_534
const USERS = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}

let dir: string
beforeEach(() => {
  dir = tempDir()
})
afterEach(() => wipe(dir), 60_000)

/** A clone of the project with what was installed; by links where the file system has them, which nobody writes to. */
function cloned(to: string): string {
  mkdirSync(to, { recursive: true, mode: 0o755 })
  const from = [...PARTS, 'node_modules'].map(part => join(ROOT, part))
  if (spawnSync('cp', ['-al', ...from, to]).status !== 0) {
    const { status, stderr } = spawnSync('cp', ['-a', ...from, to])
    if (status !== 0) throw new Error(String(stderr))
  }
  return to
}

/** `npm start` in that folder, as that user. */
const npmStart =
  (cwd: string, home: string, uid?: number) =>
  (args: string[]): Started => {
    const who = uid === undefined ? {} : { uid, gid: uid }
    const env = { PATH: process.env['PATH'] ?? '', HOME: home }
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
    return startedAs(spawn('npm', ['start', '--silent', '--', ...args], { ...who, cwd, env, stdio, detached: true }))
  }

/** The main job: an instance is made, a client finds its database there, it is deleted, all ends. */
async function works(dataDir: string, how: (args: string[]) => Started): Promise<string> {
  const coffer = await startCoffer(dataDir, [], how)
  const demo = await coffer.login()
  const made = await createInstance(demo, USERS)
  const [{ address, port = 5432 }] = made.addresses
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
  await client.connect()
  expect((await client.query('SELECT current_user AS who')).rows).toEqual([{ who: 'ann' }])
  await client.end()
  await deleteInstance(demo, made.id)
  await clean(coffer)
  // As Ctrl-C does: to npm and all that it started.
  process.kill(-coffer.pid, 'SIGINT')
  await until('end of all processes', async () => processesOf(dataDir).length === 0)
  return coffer.output()
}

// As an ordinary user there is no other to be, and no home that only root can enter: what runs is that user's already.
const asRoot = process.getuid?.() === 0 ? it : it.skip

describe('npm start', () => {
  asRoot(
    'works as an ordinary user, and says what that means',
    async () => {
      const home = join(dir, 'home')
      mkdirSync(home)
      chownSync(home, NOBODY, NOBODY)
      const output = await works(join(home, 'data'), npmStart(cloned(join(dir, 'clone')), home, NOBODY))
      expect(output).toMatch(/^note: without root all instances run as one user/m)
    },
    300_000,
  )

  asRoot(
    'works as root in a clone below a home that only root can enter',
    async () => {
      const home = join(dir, 'home')
      mkdirSync(home)
      const clone = cloned(join(home, 'clone'))
      chmodSync(home, 0o700)
      const output = await works(join(dir, 'data'), npmStart(clone, home))
      expect(output).not.toMatch(/^note:/m)
    },
    300_000,
  )
})
