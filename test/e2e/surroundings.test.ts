import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { createInstance, deleteInstance, launch, processesOf, startCoffer, tempDir, until, wipe } from './coffer.ts'

let dir: string
let dataDir: string
beforeEach(() => {
  dir = tempDir()
  dataDir = join(dir, 'data')
})
afterEach(() => wipe(dir), 60_000)

/** One clear line, and a non-zero exit. */
async function refused(args: string[], why: RegExp): Promise<void> {
  const { exited, output } = launch(args)
  expect(await exited).toBe(1)
  expect(output().trim()).toMatch(why)
  expect(output().trim().split('\n')).toHaveLength(1)
}

async function listener(port: number, host: string): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(port, host)
  await once(server, 'listening')
  const at = server.address()
  return { server, port: typeof at === 'object' && at ? at.port : 0 }
}

describe('bad surroundings', () => {
  it('names a port that is taken', async () => {
    const { server, port } = await listener(0, '127.0.0.1')
    await refused(
      ['--data-dir', dataDir, '--port', String(port), '--quiet'],
      new RegExp(`^coffer: port ${port} .* is taken`),
    )
    server.close()
  }, 30_000)

  it('names an address that this machine does not have', async () => {
    await refused(
      ['--data-dir', dataDir, '--port', '0', '--host', '192.0.2.1', '--insecure', '--quiet'],
      /^coffer: port 0 on 192\.0\.2\.1 cannot be used \(EADDRNOTAVAIL\)/,
    )
  }, 30_000)

  it.each([
    ['16.20.2', join('bin', 'coffer.mjs'), /^coffer: Node\.js 18 or newer is needed to start, this is 16\.20\.2$/],
    [
      '22.1.0',
      join('local', 'main.ts'),
      /^coffer: Node\.js 24 or newer is needed, this is 22\.1\.0: run it with 'npm start'$/,
    ],
  ])('names a Node.js that is too old: %s for %s', (version, program, why) => {
    // What the program is told of the Node.js that runs it.
    const told = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
    const args = [
      '--disable-warning=ExperimentalWarning',
      '--import',
      `data:text/javascript,${encodeURIComponent(told)}`,
    ]
    const { status, stdout, stderr } = spawnSync(process.execPath, [...args, program, 'start'], { encoding: 'utf8' })
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr.trim()).toMatch(why)
  })

  it('names a data directory that cannot be', async () => {
    writeFileSync(join(dir, 'file'), '')
    for (const path of [join(dir, 'file'), join(dir, 'file', 'data'), '/proc/coffer']) {
      await refused(['--data-dir', path, '--port', '0'], /^coffer: the data directory .* cannot be written/)
    }
  }, 30_000)

  const asRoot = process.getuid?.() === 0 ? it : it.skip
  asRoot(
    "names a parent that the databases' users cannot pass",
    async () => {
      mkdirSync(join(dir, 'closed'), { mode: 0o700 })
      await refused(
        ['--data-dir', join(dir, 'closed', 'data'), '--port', '0'],
        /cannot be reached by the databases' users/,
      )
    },
    30_000,
  )

  it('names what was written by a newer one, or can be read by others', async () => {
    mkdirSync(dataDir)
    writeFileSync(join(dataDir, 'form'), '99')
    await refused(['--data-dir', dataDir, '--port', '0', '--quiet'], /written by a newer Coffer/)
    rmSync(join(dataDir, 'form'))
    const db = new DatabaseSync(join(dataDir, 'coffer.db'))
    db.exec('PRAGMA user_version = 99')
    db.close()
    await refused(['--data-dir', dataDir, '--port', '0', '--quiet'], /schema 99/)
    rmSync(join(dataDir, 'coffer.db'))
    writeFileSync(join(dataDir, 'master.key'), 'x')
    chmodSync(join(dataDir, 'master.key'), 0o644)
    await refused(['--data-dir', dataDir, '--port', '0', '--quiet'], /master\.key/)
  }, 60_000)

  it.each([[['--port', 'abc']], [['--wrong']], [['--rate', '-1']], [['stray']]])(
    'refuses %j',
    async args => {
      await refused(['--data-dir', dataDir, ...args], /^coffer: /)
    },
    30_000,
  )
})

describe('odd surroundings', () => {
  it('works with a very long path, holds it against another, and ends when it is removed', async () => {
    const long = join(dir, 'd'.repeat(120), 'data')
    const coffer = await startCoffer(long)
    await refused(['--data-dir', long, '--port', '0', '--quiet'], /in use by another Coffer/)
    const demo = await coffer.login()
    await createInstance(demo)
    rmSync(long, { recursive: true, force: true, maxRetries: 20, retryDelay: 10 })
    await until('end of all processes', async () => processesOf(long).length === 0, 45_000)
    expect(coffer.output()).toMatch(/was removed$/m)
  }, 120_000)

  it('gives another port of 127.0.0.1 where the standard one is taken on all addresses', async () => {
    // Another Coffer of this machine may have an instance just now.
    const { server } = await until('free port', () => listener(5432, '0.0.0.0').catch(() => undefined), 20_000)
    const coffer = await startCoffer(dataDir)
    const demo = await coffer.login()
    const made = await createInstance(demo)
    expect(made.addresses).toEqual([expect.objectContaining({ address: '127.0.0.1', port: expect.any(Number) })])
    await deleteInstance(demo, made.id)
    expect(await coffer.stop()).toBe(0)
    server.close()
  }, 60_000)
})
