import { join } from 'node:path'
import { pinnedUsers } from './catalog.ts'
import { layout } from './engine.ts'
import { type Owner, textOf, writePrivate } from './files.ts'
import { hbaText, type Pinned } from './hba.ts'
import { ANYWHERE } from './hosts.ts'
import type { Server } from './server.ts'
import type { Sessions } from './sessions.ts'

/**
 * Makes the server admit users from their hosts only, as the catalogue has them and, over that, as `coming` says.
 * Called with what is coming before a change, and with nothing after it, so that no moment is laxer than both states.
 */
export type Admit = (coming: Pinned[]) => Promise<void>

/** The networks that the instance may be reached from, as they were set last; none = from everywhere. */
export async function networksOf(volume: string): Promise<string[]> {
  const kept: unknown = JSON.parse((await textOf(layout(volume).access)) ?? '[]')
  return Array.isArray(kept) ? kept.map(String) : []
}

/** Sets the networks, and ends the sessions of users from elsewhere. */
export function admitFrom(volume: string, sessions: Sessions, admit: Admit, owner?: Owner) {
  return async (networks: string[]): Promise<void> => {
    // In the server's own notation: an address is a network of one.
    const wanted = networks.map(network => (network.includes('/') ? network : `${network}/32`))
    await writePrivate(layout(volume).access, JSON.stringify(wanted), owner)
    await admit([])
    if (wanted.length > 0) await sessions.within('os_maint', 'postgres', client => client.query(END_OTHERS, [wanted]))
  }
}

const END_OTHERS = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND usename NOT IN ('os_maint', 'os_admin')
    AND NOT EXISTS (SELECT FROM unnest($1::inet[]) network WHERE client_addr <<= network)`

/** The keeper of one volume's pg_hba.conf. */
export function admission(volume: string, sessions: Sessions, server: Server, owner?: Owner): Admit {
  const file = join(layout(volume).data, 'pg_hba.conf')
  return async coming => {
    const changes = coming.filter(({ host }) => host !== ANYWHERE)
    const hosts = new Map([...(await pinnedUsers(sessions)), ...changes].map(({ name, host }) => [name, host]))
    const text = hbaText(
      [...hosts].map(([name, host]) => ({ name, host })),
      await networksOf(volume),
    )
    if (text === (await textOf(file))) return
    await writePrivate(file, text, owner)
    // The server looks at its signals before it takes the next connection: from here on the new rules hold.
    await server.reload()
  }
}
