import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { alive } from '../../kit/process.ts'
import { type Driver, Refused, type SslState } from '../driver.ts'
import { layout } from './engine.ts'
import { type Owner, textOf, writePrivate } from './files.ts'
import type { Server } from './server.ts'
import type { Sessions } from './sessions.ts'
import { type KeptState, sslState } from './ssl-state.ts'

type Verbs = Pick<Driver, 'tls_key' | 'use_certificate' | 'ssl_show' | 'ssl_action' | 'ssl_rollback'>

interface Tools {
  volume: string
  server: Server
  sessions: Sessions
  owner: Owner | undefined
}

/** Sessions that came without TLS, but for the agent's own, which do not leave the machine. */
const END_PLAIN = `SELECT pg_terminate_backend(pid) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
  WHERE NOT ssl AND backend_type = 'client backend' AND usename <> ALL ('{os_admin,os_maint}'::name[])`

/** The verbs of TLS: the server's key and certificate, and whether clients have to use them. */
export function sslVerbs({ volume, server, sessions, owner }: Tools): Verbs {
  const files = layout(volume)

  /** Makes the server do what the files in the volume say; no session ends. */
  async function apply(): Promise<void> {
    await server.configure()
    await server.reload()
  }

  async function endPlain(): Promise<void> {
    const running = await server.find()
    if (!running) return
    await sessions.tell('postgres', [END_PLAIN], 'os_maint').catch(async (error: unknown) => {
      // A server that died over it has taken them along.
      if (await alive(running)) throw error
    })
  }

  async function change(to: KeptState): Promise<SslState & { restart_required: boolean }> {
    await writePrivate(files.ssl, JSON.stringify(to), owner)
    await apply()
    if (to.mode === 'enforced') await endPlain()
    return { status: to.status, mode: to.mode, restart_required: false }
  }

  return {
    async tls_key() {
      const kept = await textOf(files.tlsKey)
      if (kept !== undefined) return publicHalf(kept)
      // Randomness is the system's own: no simulated run makes real keys.
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const text = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
      await writePrivate(files.tlsKey, text, owner)
      return publicHalf(text)
    },

    async use_certificate({ certificate, ca }) {
      await Promise.all([writePrivate(files.certificate, certificate, owner), writePrivate(files.ca, ca, owner)])
      await apply()
    },

    async ssl_show() {
      const { status, mode } = await sslState(volume)
      const [certificate, ca] = await Promise.all([textOf(files.certificate), textOf(files.ca)])
      return { status, mode, certificate, ca }
    },

    async ssl_action(mode) {
      const { status, mode: was, before } = await sslState(volume)
      const to: SslState = mode ? { status: 'on', mode } : { status: 'off', mode: null }
      // Asked again after a crash: what was before stays what it was.
      const same = to.mode === was
      return change({ ...to, ...(same ? before && { before } : { before: { status, mode: was } }) })
    },

    async ssl_rollback() {
      const { before, ...now } = await sslState(volume)
      if (before) return change({ ...before, again: true })
      if (!now.again) throw new Refused(400, 'There is no earlier SSL configuration to go back to.')
      // Asked again after a crash.
      return change(now)
    },
  }
}

const publicHalf = (key: string) => createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64')
