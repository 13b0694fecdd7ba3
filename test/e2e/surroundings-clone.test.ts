import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { waitUntilClean } from './assert-clean.ts'
import { CART } from './cloud.ts'
import {
  createInstance,
  deleteInstance,
  followProcess,
  type LaunchedProcess,
  processesOf,
  startCoffer,
  until,
  wipe,
} from './coffer.ts'
import { connect } from './fault-injection.ts'
import { tempDir } from './temp-dir.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const PARTS = [
  'package.json',
  'package-lock.json',
  'bin',
  'functions',
  'guest-agent',
  'host',
  'lib',
  'local',
  'agent-bundle',
]
const NOBODY = 65_534

jest.setTimeout(300_000)

let dir: string
let folder: string
beforeAll(() => {
  dir = tempDir()
  folder = clone(join(dir, 'clone'))
})
afterAll(() => wipe(dir))

/** A clone of the project with its installed packages: hard links, which nobody writes to, or copies. */
function clone(to: string): string {
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
  (args: string[]): LaunchedProcess => {
    const user = uid === undefined ? {} : { uid, gid: uid }
    const env = { PATH: process.env['PATH'] ?? '', HOME: home }
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
    return followProcess(
      spawn('npm', ['start', '--silent', '--', ...args], { ...user, cwd, env, stdio, detached: true }),
    )
  }

/** Creates an instance, connects to its database, deletes it and stops the cloud; returns what it printed. */
async function runMainJob(dataDir: string, start: (args: string[]) => LaunchedProcess): Promise<string> {
  const coffer = await startCoffer(dataDir, ['--spares', '0'], start)
  const demo = await coffer.login()
  const created = await createInstance(demo, CART)
  const client = await connect(created)
  expect((await client.query('SELECT current_user AS name')).rows).toEqual([{ name: 'ann' }])
  await client.end()
  await deleteInstance(demo, created.id)
  await waitUntilClean(coffer)
  // Like Ctrl-C, it reaches npm and everything that npm has started.
  process.kill(-coffer.pid, 'SIGINT')
  await until('end of all processes', async () => processesOf(dataDir).length === 0)
  return coffer.output()
}

// An ordinary user cannot become another one, and has no home that only root can enter.
const asRoot = process.getuid?.() === 0 ? it : it.skip

describe('npm start', () => {
  asRoot('works as an ordinary user, and prints what that means', async () => {
    const home = join(dir, 'home-of-nobody')
    mkdirSync(home)
    chownSync(home, NOBODY, NOBODY)
    const output = await runMainJob(join(home, 'data'), npmStart(folder, home, NOBODY))
    expect(output).toMatch(/^note: without root all instances run as one user/m)
  })

  asRoot('works as root in a clone below a home that only root can enter', async () => {
    const home = join(dir, 'home-of-root')
    mkdirSync(home)
    renameSync(folder, join(home, 'clone'))
    chmodSync(home, 0o700)
    const output = await runMainJob(join(dir, 'data'), npmStart(join(home, 'clone'), home))
    expect(output).not.toMatch(/^note:/m)
  })
})
