import { guest } from '../contracts/guest.ts'
import { type CommandRow, commandId, commands, type guestClient, guests } from '../guests/guest.ts'
import type { Instance } from '../instances/instance.ts'
import type { Stored } from '../kit/records.ts'
import type { Store } from '../platform/store/store.ts'
import type { UserSpec, UserView } from './user.ts'

/** An instance's databases and users as they will be once its agent has done all that was accepted. */
export interface Foreseen {
  hasDatabase(name: string): Promise<boolean>
  /** Null if there will be none; no host means any. */
  user(id: { name: string; host?: string | undefined }): Promise<UserView | null>
}

/** What open commands make (or take away: false, null) by name. */
interface Accepted {
  databases: Map<string, boolean>
  users: Map<string, UserView | null>
}

/** Open commands are few: each was asked for by a request that the agent had answered. */
const PAGE = 50

/**
 * The agent answers at once, whatever waits in its queue: what was accepted before outranks its answer. It is read before
 * anything is asked, so that a command that ends meanwhile shows in one of both.
 */
export async function foreseen(
  store: Store,
  agent: ReturnType<typeof guestClient>,
  instance: Pick<Instance, 'project' | 'id'>,
): Promise<Foreseen> {
  const { databases, users } = await acceptedOf(store, instance)
  return {
    async hasDatabase(name) {
      const known = databases.get(name)
      if (known !== undefined) return known
      const { items } = await agent.list_databases({ limit: 1, marker: name, include_marker: true })
      return items[0]?.name === name
    },
    async user(id) {
      const known = users.get(id.name)
      if (known === undefined) return agent.get_user(id)
      return known && (id.host === undefined || id.host === known.host) ? known : null
    },
  }
}

async function acceptedOf(store: Store, { project, id }: Pick<Instance, 'project' | 'id'>): Promise<Accepted> {
  const accepted: Accepted = { databases: new Map(), users: new Map() }
  const { issued = 0, done = 0 } = (await guests.get(store, project, id))?.body ?? {}
  let after = `command#${commandId(id, done)}`
  for (let rows: Stored<CommandRow>[] | undefined; issued > done && (!rows || rows.length === PAGE); ) {
    rows = await commands.ofInstance(store, id, { after, limit: PAGE })
    for (const { key, body } of rows) {
      if (body.status === 'issued') note(accepted, body)
      after = key.id
    }
  }
  return accepted
}

const { create_database, delete_database, create_user, delete_user, update_attributes } = guest.methods

/** Notes what a command makes and takes away. */
function note({ databases, users }: Accepted, { method, input }: CommandRow): void {
  if (method === 'create_database')
    for (const { name } of create_database.input.parse(input).databases) databases.set(name, true)
  if (method === 'delete_database') databases.set(delete_database.input.parse(input).name, false)
  if (method === 'create_user')
    for (const user of create_user.input.parse(input).users) users.set(user.name, viewOf(user))
  if (method === 'delete_user') users.set(delete_user.input.parse(input).name, null)
  if (method !== 'update_attributes') return
  const { name, attributes } = update_attributes.input.parse(input)
  const { name: newName = name, host } = attributes
  const known = users.get(name)
  if (newName !== name) {
    users.set(name, null)
    // One that the agent has already is asked for by its new name: it knows when that is so.
    users.delete(newName)
  }
  if (known) users.set(newName, { ...known, name: newName, host: host ?? known.host })
}

const viewOf = ({ name, host = '%', databases }: UserSpec): UserView => ({ name, host, databases })
