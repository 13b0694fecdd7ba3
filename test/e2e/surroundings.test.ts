import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { createInstance, deleteInstance, launch, processesOf, startCoffer, until, wipe } from './coffer.ts'
import { hostPid, sendSignal } from './fault-injection.ts'
import { tempDir } from './temp-dir.ts'

let dir: string
let dataDir: string
beforeEach(() => {
  dir = tempDir()
  dataDir = join(dir, 'data')
})
afterEach(() => wipe(dir), 60_000)

/** Expects that it exits with 1 and prints one line with the reason. */
async function expectRefusal(args: string[], why: RegExp): Promise<void> {
  const { exited, output } = launch(args)
  expect(await exited).toBe(1)
  expect(output().trim()).toMatch(why)
  expect(output().trim().split('\n')).toHaveLength(1)
}

/** Listens on a free port. */
async function listenOn(host: string): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  return { server, port: typeof address === 'object' && address ? address.port : 0 }
}

describe('a start in a bad environment', () => {
  it('names a port that is taken', async () => {
    const { server, port } = await listenOn('127.0.0.1')
    await expectRefusal(
      ['--data-dir', dataDir, '--port', String(port), '--quiet'],
      new RegExp(`^coffer: port ${port} .* is taken`),
    )
    server.close()
  })

  it('names an address that this machine does not have', async () => {
    await expectRefusal(
      ['--data-dir', dataDir, '--port', '0', '--host', '192.0.2.1', '--insecure', '--quiet'],
      /^coffer: port 0 on 192\.0\.2\.1 cannot be used \(EADDRNOTAVAIL\)/,
    )
  })

  it.each([
    ['16.20.2', join('bin', 'coffer.mjs'), /^coffer: Node\.js 18 or newer is needed to start, this is 16\.20\.2$/],
    [
      '22.1.0',
      join('local', 'main.ts'),
      /^coffer: Node\.js 24 or newer is needed, this is 22\.1\.0: run it with 'npm start'$/,
    ],
  ])('names a Node.js that is too old: %s for %s', (version, program, why) => {
    // Runs before the program and changes the version that it reads.
    const preload = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
    const args = [
      '--disable-warning=ExperimentalWarning',
      '--import',
      `data:text/javascript,${encodeURIComponent(preload)}`,
    ]
    const { status, stdout, stderr } = spawnSync(process.execPath, [...args, program, 'start'], { encoding: 'utf8' })
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr.trim()).toMatch(why)
  })

  it('names a data directory that cannot be created', async () => {
    writeFileSync(join(dir, 'file'), '')
    const paths = [join(dir, 'file'), join(dir, 'file', 'data'), '/proc/coffer']
    const why = /^coffer: the data directory .* cannot be written/
    await Promise.all(paths.map(path => expectRefusal(['--data-dir', path, '--port', '0'], why)))
  })

  const asRoot = process.getuid?.() === 0 ? it : it.skip
  asRoot("names a parent that the databases' users cannot pass", async () => {
    mkdirSync(join(dir, 'closed'), { mode: 0o700 })
    await expectRefusal(
      ['--data-dir', join(dir, 'closed', 'data'), '--port', '0'],
      /cannot be reached by the databases' users/,
    )
  })

  it('names files that a newer version has written, and a key file that others can read', async () => {
    const expectDirRefusal = (name: string, why: RegExp, fill: (path: string) => void) => {
      const path = join(dir, name)
      mkdirSync(path)
      fill(path)
      return expectRefusal(['--data-dir', path, '--port', '0', '--quiet'], why)
    }
    await Promise.all([
      expectDirRefusal('layout', /written by a newer Coffer/, path => writeFileSync(join(path, 'form'), '99')),
      expectDirRefusal('schema', /schema 99/, path => {
        const db = new DatabaseSync(join(path, 'coffer.db'))
        db.exec('PRAGMA user_version = 99')
        db.close()
      }),
      expectDirRefusal('key', /master\.key/, path => {
        writeFileSync(join(path, 'master.key'), 'x')
        chmodSync(join(path, 'master.key'), 0o644)
      }),
    ])
  })

  it.each([[['--port', 'abc']], [['--wrong']], [['--rate', '-1']], [['stray']]])('refuses %j', async args => {
    await expectRefusal(['--data-dir', dataDir, ...args], /^coffer: /)
  })
})

describe('a cloud in an unusual environment', () => {
  it('works with a very long path, locks it against another Coffer, and ends when it is removed', async () => {
    const long = join(dir, 'd'.repeat(120), 'data')
    const coffer = await startCoffer(long)
    await expectRefusal(['--data-dir', long, '--port', '0', '--quiet'], /in use by another Coffer/)
    const demo = await coffer.login()
    await createInstance(demo)
    // rmSync would end early, without an error, at a file that the host daemon removes at the same time.
    spawnSync('rm', ['-rf', long])
    await until('end of all processes', async () => processesOf(long).length === 0, 45_000)
    expect(coffer.output()).toMatch(/was removed$/m)
  }, 120_000)

  it('gives instances a port of 127.0.0.1 where its loopback network cannot be bound', async () => {
    const coffer = await startCoffer(dataDir, ['--spares', '0'])
    const config = join(dataDir, 'host.json')
    // Not an address of this machine. The daemon reads it when it is started again.
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), network: '192.0' }))
    const killed = hostPid(coffer)
    sendSignal(killed, 'SIGKILL')
    await until('new host daemon', async () => hostPid(coffer) !== killed)
    const demo = await coffer.login()
    const { id, addresses } = await createInstance(demo)
    expect(addresses).toEqual([expect.objectContaining({ address: '127.0.0.1', port: expect.any(Number) })])
    await deleteInstance(demo, id)
    expect(await coffer.stop()).toBe(0)
  })
})
