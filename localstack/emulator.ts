import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { isAlive, processRef } from '../lib/kit/os/process.ts'
import type { AwsCredentials } from '../lib/platform/aws/connection.ts'
import { systemClock } from '../lib/wiring/system.ts'
import { parseProcessRef, readTextIfExists } from '../local/data-dir.ts'
import { StartupError } from '../local/options.ts'
import { installEnvironment } from './python.ts'

/**
 * ministack, an emulator of AWS that needs no Docker, on a free port of this machine. It loses its state when it
 * ends.
 */
export interface Emulator {
  endpoint: string
  account: string
  /** Access as the account's owner, who may do everything. */
  connection: { region: string; endpoint: string; credentials: () => Promise<AwsCredentials> }
  /** Resolves when the emulator has ended, by itself or by `stop`. */
  ended: Promise<unknown>
  stop(): Promise<void>
}

/** Credentials that the emulator takes for the account's owner. */
export const OPERATOR = { accessKeyId: 'test', secretAccessKey: 'test', sessionToken: '' }
export const REGION = 'us-east-1'

const READY_MS = 60_000

/**
 * Starts the emulator in that folder, and installs it if it is missing. With `auth` it enforces IAM policies. Throws
 * StartupError.
 */
export async function emulator(folder: string, { auth }: { auth: boolean }): Promise<Emulator> {
  const program = join(installEnvironment('requirements-aws.txt', 'an emulator of AWS'), 'bin', 'ministack')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  await endPrevious(folder)
  const port = await freePort()
  const child = launch(program, { folder, port, auth })
  const ended = once(child, 'exit')
  // However this process ends, the emulator must not outlive it.
  const kill = () => void child.kill('SIGKILL')
  process.on('exit', kill)
  const running = child.pid === undefined ? undefined : await processRef(child.pid)
  if (running) writeFileSync(pidFileIn(folder), JSON.stringify(running))
  const endpoint = `http://127.0.0.1:${port}`
  await waitUntilReady(endpoint, child)
  const credentials = async () => ({ accessKeyId: OPERATOR.accessKeyId, secretAccessKey: OPERATOR.secretAccessKey })
  return {
    endpoint,
    account: '000000000000',
    connection: { region: REGION, endpoint, credentials },
    ended,
    async stop() {
      process.off('exit', kill)
      child.kill('SIGTERM')
      await ended
      rmSync(pidFileIn(folder), { force: true })
    },
  }
}

const pidFileIn = (folder: string) => join(folder, 'emulator.pid')

/** Ends an emulator whose starter was killed by SIGKILL. */
async function endPrevious(folder: string): Promise<void> {
  const previous = parseProcessRef(readTextIfExists(pidFileIn(folder)))
  if (!previous || !(await isAlive(previous))) return
  process.kill(previous.pid, 'SIGKILL')
  while (await isAlive(previous)) await systemClock.sleep(20)
}

function launch(
  program: string,
  { folder, port, auth }: { folder: string; port: number; auth: boolean },
): ChildProcess {
  const out = openSync(join(folder, 'emulator.log'), 'a', 0o600)
  const env = {
    // Functions run on the first Node.js in PATH: make it this one.
    PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? '/usr/bin:/bin'}`,
    HOME: folder,
    GATEWAY_PORT: String(port),
    BIND_HOST: '127.0.0.1',
    MINISTACK_HOST: '127.0.0.1',
    AUTH: String(auth),
  }
  const child = spawn(program, [], {
    cwd: folder,
    env,
    stdio: ['ignore', out, out],
    // Ctrl-C must reach only the starter, which stops the emulator last.
    detached: true,
  })
  closeSync(out)
  return child
}

async function waitUntilReady(endpoint: string, child: ChildProcess): Promise<void> {
  const end = systemClock.now() + READY_MS
  while (child.exitCode === null && systemClock.now() < end) {
    const response = await fetch(`${endpoint}/_localstack/health`).catch(() => undefined)
    if (response?.ok) return
    await systemClock.sleep(100)
  }
  child.kill('SIGKILL')
  throw new StartupError('the emulator did not start; see emulator.log in its folder')
}

/** A free port of this machine. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || !address) throw new StartupError('no free port')
  return address.port
}
