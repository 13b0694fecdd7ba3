import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { type Owner, replaceFile } from '../../../kit/os/files.ts'
import { isAlive } from '../../../kit/os/process.ts'
import { RejectedByDatastore, type SslState, type TlsVerbs } from '../../driver.ts'
import { clusterPaths } from '../cluster/cluster.ts'
import { readText } from '../cluster/files.ts'
import type { PostgresqlServer } from '../server/server.ts'
import { readTlsState, type StoredTlsState } from '../server/tls-state.ts'
import type { PostgresqlSessions } from '../sql/sessions.ts'

interface TlsContext {
  volume: string
  server: PostgresqlServer
  sessions: PostgresqlSessions
  owner: Owner | undefined
}

/** Ends sessions without TLS, except the agent's own, which do not leave the machine. */
const END_PLAIN_SESSIONS = `SELECT pg_terminate_backend(pid) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
  WHERE NOT ssl AND backend_type = 'client backend' AND usename <> ALL ('{os_admin,os_maint}'::name[])`

/** The verbs of TLS: the server's key and certificate, and whether clients have to use them. */
export function tlsVerbs(context: TlsContext): TlsVerbs {
  return {
    tls_key: () => readOrCreateKey(context),
    use_certificate: ({ certificate, ca }) => useCertificate(context, certificate, ca),
    ssl_show: () => showTls(context),
    ssl_action: ({ enable, mode = 'basic' }) => setMode(context, enable ? mode : undefined),
    ssl_rollback: () => rollBack(context),
  }
}

async function readOrCreateKey({ volume, owner }: TlsContext): Promise<string> {
  const { tlsKey } = clusterPaths(volume)
  const stored = await readText(tlsKey)
  if (stored !== undefined) return publicHalf(stored)
  // Randomness is the system's own: no simulated run makes real keys.
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const text = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  await replaceFile(tlsKey, text, { owner })
  return publicHalf(text)
}

const publicHalf = (key: string) => createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64')

async function useCertificate({ volume, server, owner }: TlsContext, certificate: string, ca: string): Promise<void> {
  const files = clusterPaths(volume)
  await Promise.all([replaceFile(files.certificate, certificate, { owner }), replaceFile(files.ca, ca, { owner })])
  await applyFiles(server)
}

async function showTls({ volume }: TlsContext) {
  const files = clusterPaths(volume)
  const { status, mode } = await readTlsState(volume)
  const [certificate, ca] = await Promise.all([readText(files.certificate), readText(files.ca)])
  return { status, mode, certificate, ca }
}

async function setMode(context: TlsContext, mode: SslState['mode'] | undefined) {
  const { status, mode: previousMode, before } = await readTlsState(context.volume)
  const next: SslState = mode ? { status: 'on', mode } : { status: 'off', mode: null }
  // A call that is repeated after a crash must not overwrite the state before.
  if (next.mode === previousMode) return changeTo(context, { ...next, ...(before && { before }) })
  return changeTo(context, { ...next, before: { status, mode: previousMode } })
}

async function rollBack(context: TlsContext) {
  const { before, ...current } = await readTlsState(context.volume)
  if (before) return changeTo(context, { ...before, again: true })
  if (!current.again) throw new RejectedByDatastore(400, 'There is no earlier SSL configuration to go back to.')
  // The call is repeated after a crash.
  return changeTo(context, current)
}

async function changeTo(
  { volume, server, sessions, owner }: TlsContext,
  state: StoredTlsState,
): Promise<SslState & { restart_required: boolean }> {
  await replaceFile(clusterPaths(volume).ssl, JSON.stringify(state), { owner })
  await applyFiles(server)
  if (state.mode === 'enforced') await endPlainSessions(server, sessions)
  return { status: state.status, mode: state.mode, restart_required: false }
}

/** Makes the server follow the files in the volume; no session ends. */
async function applyFiles(server: PostgresqlServer): Promise<void> {
  await server.configure()
  await server.reload()
}

async function endPlainSessions(server: PostgresqlServer, sessions: PostgresqlSessions): Promise<void> {
  const running = await server.findProcess()
  if (!running) return
  await sessions.execute('postgres', [END_PLAIN_SESSIONS], 'os_maint').catch(async (error: unknown) => {
    // If the server died meanwhile, its sessions died with it.
    if (await isAlive(running)) throw error
  })
}
