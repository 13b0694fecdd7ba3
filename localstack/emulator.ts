import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { systemClock } from '../lib/wiring/system.ts'
import { Unfit } from '../local/options.ts'

/** An emulator of AWS on a free port of this machine: ministack, which needs no Docker, and enforces the roles of functions. */
export interface Emulator {
  endpoint: string
  account: string
  stop(): Promise<void>
}

const ROOT = join(import.meta.dirname, '..')
const VENV = join(ROOT, '.venv', 'aws')
const REQUIREMENTS = join(ROOT, 'test', 'services', 'requirements-aws.txt')
const READY_MS = 60_000

/** Starts it in that folder, installing it first if need be. Throws Unfit. */
export async function emulator(folder: string): Promise<Emulator> {
  install()
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const port = await freePort()
  const out = openSync(join(folder, 'emulator.log'), 'a', 0o600)
  const env = {
    // Functions run on the first Node.js of the path: this one.
    PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? '/usr/bin:/bin'}`,
    HOME: folder,
    GATEWAY_PORT: String(port),
    BIND_HOST: '127.0.0.1',
    MINISTACK_HOST: '127.0.0.1',
    AUTH: 'true',
  }
  const child = spawn(join(VENV, 'bin', 'ministack'), [], {
    cwd: folder,
    env,
    stdio: ['ignore', out, out],
    detached: true,
  })
  closeSync(out)
  const endpoint = `http://127.0.0.1:${port}`
  await ready(endpoint, child)
  return {
    endpoint,
    account: '000000000000',
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    },
  }
}

function install(): void {
  if (existsSync(join(VENV, 'bin', 'ministack'))) return
  for (const [program, args] of [
    ['python3', ['-m', 'venv', VENV]],
    [join(VENV, 'bin', 'pip'), ['install', '--quiet', '--no-deps', '--only-binary', ':all:', '-r', REQUIREMENTS]],
  ] as const) {
    const { status } = spawnSync(program, args, { stdio: ['ignore', 2, 2] })
    if (status !== 0) throw new Unfit(`${program} ${args.join(' ')} failed: Python 3 with venv is needed`)
  }
}

async function ready(endpoint: string, child: ChildProcess): Promise<void> {
  const end = systemClock.now() + READY_MS
  while (child.exitCode === null && systemClock.now() < end) {
    const answer = await fetch(`${endpoint}/_localstack/health`).catch(() => undefined)
    if (answer?.ok) return
    await systemClock.sleep(100)
  }
  throw new Unfit('the emulator did not start; see emulator.log in the data directory')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || !address) throw new Unfit('no free port')
  return address.port
}
