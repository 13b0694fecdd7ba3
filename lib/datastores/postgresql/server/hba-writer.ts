import { join } from 'node:path'
import { type Owner, replaceFile } from '../../../kit/os/files.ts'
import { clusterPaths } from '../cluster/cluster.ts'
import { readText } from '../cluster/files.ts'
import { ANY_HOST } from '../rules/host-patterns.ts'
import { listPinnedUsers } from '../sql/queries.ts'
import type { PostgresqlSessions } from '../sql/sessions.ts'
import { hbaText, type PinnedUser, withAgentLines } from './hba.ts'
import type { PostgresqlServer } from './server.ts'
import { readTlsState } from './tls-state.ts'

const END_OTHER_SESSIONS = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND usename NOT IN ('os_maint', 'os_admin')
    AND NOT EXISTS (SELECT FROM unnest($1::inet[]) network WHERE client_addr <<= network)`

interface HbaWriterParts {
  volume: string
  sessions: PostgresqlSessions
  server: PostgresqlServer
  owner: Owner | undefined
}

/** Writes the pg_hba.conf of one volume. */
export class HbaWriter {
  readonly #parts: HbaWriterParts
  readonly #file: string

  constructor(parts: HbaWriterParts) {
    this.#parts = parts
    this.#file = join(clusterPaths(parts.volume).data, 'pg_hba.conf')
  }

  /**
   * Makes the server admit users from their hosts only: those of the catalogue, overridden by `pending`. Called with
   * the pending hosts before a change and without them after it, so that the rules are never laxer than both states.
   */
  async write(pending: PinnedUser[] = []): Promise<void> {
    const { volume, sessions, server, owner } = this.#parts
    const pinned = pending.filter(({ host }) => host !== ANY_HOST)
    const hosts = new Map([...(await listPinnedUsers(sessions)), ...pinned].map(({ name, host }) => [name, host]))
    const rules = hbaText(
      [...hosts].map(([name, host]) => ({ name, host })),
      await readNetworks(volume),
    )
    const text = withAgentLines(rules, (await readTlsState(volume)).mode === 'enforced')
    if (text === (await readText(this.#file))) return
    await replaceFile(this.#file, text, { owner })
    // The server handles signals before it takes the next connection: the new rules hold from here on.
    await server.reload()
  }

  /** Sets the networks that users may come from (none = everywhere), and ends the sessions of users from elsewhere. */
  async setNetworks(networks: string[]): Promise<void> {
    const { volume, sessions, owner } = this.#parts
    // In the server's own notation: an address is a network of one.
    const cidrs = networks.map(network => (network.includes('/') ? network : `${network}/32`))
    await replaceFile(clusterPaths(volume).access, JSON.stringify(cidrs), { owner })
    await this.write()
    if (cidrs.length === 0) return
    await sessions.withClient('os_maint', 'postgres', client => client.query(END_OTHER_SESSIONS, [cidrs]))
  }
}

/** The networks that were set last; none = everywhere. */
async function readNetworks(volume: string): Promise<string[]> {
  const stored: unknown = JSON.parse((await readText(clusterPaths(volume).access)) ?? '[]')
  return Array.isArray(stored) ? stored.map(String) : []
}
