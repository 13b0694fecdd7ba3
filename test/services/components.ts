import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { followProcess, type LaunchedProcess, login, type Session, until } from '../e2e/coffer.ts'
import type { Server } from '../platform/store/postgresql/server.ts'
import type { RabbitServer } from './rabbitmq-server.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const READY_MS = 240_000

/** What all processes of a control plane share. */
export interface ControlPlane {
  /** The folder of all their data directories. */
  base: string
  publicUrl: string
  rabbit: RabbitServer
  postgresql: Server
}

/** Starts one process of the control plane with its data directory in `folder`, and waits until it is ready. */
export async function startComponent(
  { base, publicUrl, rabbit, postgresql }: ControlPlane,
  only: string,
  folder: string,
  args: string[] = [],
): Promise<LaunchedProcess> {
  const child: ChildProcess = spawn(
    process.execPath,
    [
      ...['--disable-warning=ExperimentalWarning', join(ROOT, 'local', 'serve.ts')],
      ...['--only', only, '--data-dir', join(base, folder), '--rate', '0', ...args],
    ],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        COFFER_POSTGRESQL_URL: postgresql.url,
        COFFER_RABBITMQ_URL: rabbit.url,
        COFFER_RABBITMQ_MANAGEMENT_URL: rabbit.management,
        COFFER_KEY_FILE: join(base, 'master.key'),
        PUBLIC_URL: publicUrl,
      },
    },
  )
  const launched = followProcess(child)
  await until(
    `ready line of ${only}`,
    async () => {
      if (child.exitCode !== null) throw new Error(`${only} ended:\n${launched.output()}`)
      return launched.output().includes('\nready ') || launched.output().startsWith('ready ')
    },
    READY_MS,
  )
  return launched
}

/** A session at one of the gateways, of the user in the file; links in answers lead to the first gateway. */
export async function sessionAt(openrc: string, gateway: string): Promise<Session> {
  const session = await login(openrc)
  return {
    ...session,
    call: (method, path, body, headers) =>
      session.call(method, path.startsWith('http') ? path : `${gateway}/v1.0/${session.project}${path}`, body, {
        'x-auth-token': session.token,
        ...headers,
      }),
  }
}
