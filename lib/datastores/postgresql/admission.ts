import { join } from 'node:path'
import { pinnedUsers } from './catalog.ts'
import { layout } from './engine.ts'
import { type Owner, textOf, writePrivate } from './files.ts'
import { enforcing, hbaText, type Pinned } from './hba.ts'
import { ANYWHERE } from './hosts.ts'
import type { Server } from './server.ts'
import type { Sessions } from './sessions.ts'
import { sslState } from './ssl-state.ts'

/**
 * Makes the server admit users from their hosts only, as the catalogue has them and, over that, as `coming` says.
 * Called with what is coming before a change, and with nothing after it, so that no moment is laxer than both states.
 */
export type Admit = (coming: Pinned[]) => Promise<void>

/** The keeper of one volume's pg_hba.conf. */
export function admission(volume: string, sessions: Sessions, server: Server, owner?: Owner): Admit {
  const file = join(layout(volume).data, 'pg_hba.conf')
  return async coming => {
    const changes = coming.filter(({ host }) => host !== ANYWHERE)
    const hosts = new Map([...(await pinnedUsers(sessions)), ...changes].map(({ name, host }) => [name, host]))
    const rules = hbaText([...hosts].map(([name, host]) => ({ name, host })))
    const text = enforcing(rules, (await sslState(volume)).mode === 'enforced')
    if (text === (await textOf(file))) return
    await writePrivate(file, text, owner)
    // The server looks at its signals before it takes the next connection: from here on the new rules hold.
    await server.reload()
  }
}
