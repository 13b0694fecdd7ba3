import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { alive, runningAs } from '../lib/kit/process.ts'
import type { AwsCredentials } from '../lib/platform/aws.ts'
import { systemClock } from '../lib/wiring/system.ts'
import { Unfit } from '../local/options.ts'
import { parse, textOf } from '../local/surroundings.ts'

/** An emulator of AWS on a free port of this machine: ministack, which needs no Docker. Its state ends with it. */
export interface Emulator {
  endpoint: string
  account: string
  /** As the one who may do everything. */
  connection: { region: string; endpoint: string; credentials: () => Promise<AwsCredentials> }
  /** It has ended, by itself or as it was told to. */
  ended: Promise<unknown>
  stop(): Promise<void>
}

/** Whom it takes for the account's owner. */
export const OPERATOR = { accessKeyId: 'test', secretAccessKey: 'test', sessionToken: '' }
export const REGION = 'us-east-1'

const ROOT = join(import.meta.dirname, '..')
const VENV = join(ROOT, '.venv', 'aws')
const REQUIREMENTS = join(ROOT, 'test', 'services', 'requirements-aws.txt')
const READY_MS = 60_000

/** Starts it in that folder, installing it first if need be; `auth`: it enforces IAM's policies. Throws Unfit. */
export async function emulator(folder: string, { auth }: { auth: boolean }): Promise<Emulator> {
  install()
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  await endOlder(folder)
  const port = await freePort()
  const child = launch(folder, port, auth)
  const ended = once(child, 'exit')
  // Whatever ends this process, it is not left behind.
  const end = () => void child.kill('SIGKILL')
  process.on('exit', end)
  const running = child.pid === undefined ? undefined : await runningAs(child.pid)
  if (running) writeFileSync(pidOf(folder), JSON.stringify(running))
  const endpoint = `http://127.0.0.1:${port}`
  await ready(endpoint, child)
  const credentials = async () => ({ accessKeyId: OPERATOR.accessKeyId, secretAccessKey: OPERATOR.secretAccessKey })
  return {
    endpoint,
    account: '000000000000',
    connection: { region: REGION, endpoint, credentials },
    ended,
    async stop() {
      process.off('exit', end)
      child.kill('SIGTERM')
      await ended
      rmSync(pidOf(folder), { force: true })
    },
  }
}

const pidOf = (folder: string) => join(folder, 'emulator.pid')

/** One that outlived whoever started it, by `kill -9`. */
async function endOlder(folder: string): Promise<void> {
  const older = parse(textOf(pidOf(folder)))
  if (!older || !(await alive(older))) return
  process.kill(older.pid, 'SIGKILL')
  while (await alive(older)) await systemClock.sleep(20)
}

function launch(folder: string, port: number, auth: boolean): ChildProcess {
  const out = openSync(join(folder, 'emulator.log'), 'a', 0o600)
  const env = {
    // Functions run on the first Node.js of the path: this one.
    PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? '/usr/bin:/bin'}`,
    HOME: folder,
    GATEWAY_PORT: String(port),
    BIND_HOST: '127.0.0.1',
    MINISTACK_HOST: '127.0.0.1',
    AUTH: String(auth),
  }
  const child = spawn(join(VENV, 'bin', 'ministack'), [], {
    cwd: folder,
    env,
    stdio: ['ignore', out, out],
    // A signal to the group of whoever started it is his to hand on.
    detached: true,
  })
  closeSync(out)
  return child
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
  child.kill('SIGKILL')
  throw new Unfit('the emulator did not start; see emulator.log in its folder')
}

/** A port of this machine that nobody has. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || !address) throw new Unfit('no free port')
  return address.port
}
