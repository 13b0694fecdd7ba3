import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AwsCredentials } from '../../lib/platform/aws.ts'
import { realClock } from '../kit/virtual-clock.ts'

/** An emulator of AWS, from the services' virtual environment, on a free port of this machine. */
export interface Ministack {
  endpoint: string
  /** As the one who may do everything. */
  connection: { region: string; endpoint: string; credentials: () => Promise<AwsCredentials> }
  stop(): Promise<void>
}

const PROGRAM = join(import.meta.dirname, '..', '..', '.venv', 'aws', 'bin', 'ministack')
const PAUSE_MS = 100
const TRIES = 600

/** `auth`: it enforces IAM's policies. */
export async function ministack({ auth = false } = {}): Promise<Ministack> {
  const port = await freePort()
  const home = await mkdtemp(join(tmpdir(), 'coffer-ministack-'))
  const env = {
    PATH: process.env['PATH'],
    HOME: home,
    GATEWAY_PORT: String(port),
    BIND_HOST: '127.0.0.1',
    MINISTACK_HOST: '127.0.0.1',
    AUTH: String(auth),
  }
  const child = spawn(PROGRAM, [], { cwd: home, env, stdio: 'ignore' })
  const endpoint = `http://127.0.0.1:${port}`
  await ready(endpoint, child)
  const credentials = async () => ({ accessKeyId: 'test', secretAccessKey: 'test' })
  return {
    endpoint,
    connection: { region: 'us-east-1', endpoint, credentials },
    async stop() {
      const ended = once(child, 'exit')
      if (child.exitCode === null) child.kill()
      if (child.exitCode === null && child.signalCode === null) await ended
      await rm(home, { recursive: true, force: true })
    },
  }
}

async function ready(endpoint: string, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < TRIES && child.exitCode === null; attempt++) {
    const answer = await fetch(`${endpoint}/_localstack/health`).catch(() => undefined)
    if (answer?.ok) return
    await realClock.sleep(PAUSE_MS)
  }
  child.kill()
  throw new Error('ministack did not start')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || !address) throw new Error('no port')
  return address.port
}
