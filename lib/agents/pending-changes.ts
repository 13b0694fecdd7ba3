import { guest } from '../contracts/guest/guest.ts'
import type { UserSpec, UserView } from '../contracts/guest/users.ts'
import type { Stored } from '../kit/records.ts'
import { type Instance, instanceSubject } from '../model/instance.ts'
import type { Store } from '../ports/store.ts'
import { agentCommands, agentRecords, type CommandRecord, commandId, type planningClient } from './agent.ts'

/** An instance's databases and users as they will be once its agent has done all that was accepted. */
export interface PendingView {
  hasDatabase(name: string): Promise<boolean>
  /** Null if there will be none; no host means any. */
  user(id: { name: string; host?: string | undefined }): Promise<UserView | null>
}

/** What pending commands create (or delete: false, null), by name. */
interface PendingChanges {
  databases: Map<string, boolean>
  users: Map<string, UserView | null>
}

/** Pending commands are few: agents that do not answer get no more of them. */
const PAGE = 50

/**
 * The agent answers questions past the commands that wait in its queue, so pending commands overrule its answers. They are
 * read first: a command that ends meanwhile is then seen in one of the two.
 */
export async function withPendingChanges(
  store: Store,
  agent: Pick<ReturnType<typeof planningClient>, 'list_databases' | 'get_user'>,
  instance: Pick<Instance, 'project' | 'id'>,
): Promise<PendingView> {
  const { databases, users } = await loadPendingChanges(store, instance)
  return {
    async hasDatabase(name) {
      const pending = databases.get(name)
      if (pending !== undefined) return pending
      const { items } = await agent.list_databases({ limit: 1, marker: name, include_marker: true })
      return items[0]?.name === name
    },
    async user(id) {
      const pending = users.get(id.name)
      if (pending === undefined) return agent.get_user(id)
      return pending && (id.host === undefined || id.host === pending.host) ? pending : null
    },
  }
}

async function loadPendingChanges(
  store: Store,
  { project, id }: Pick<Instance, 'project' | 'id'>,
): Promise<PendingChanges> {
  const changes: PendingChanges = { databases: new Map(), users: new Map() }
  const { lastIssued = 0, lastDone = 0 } = (await agentRecords.get(store, project, id))?.body ?? {}
  let after = `command#${commandId(id, lastDone)}`
  for (let rows: Stored<CommandRecord>[] | undefined; lastIssued > lastDone && (!rows || rows.length === PAGE); ) {
    rows = await agentCommands.ofSubject(store, instanceSubject(id), { after, limit: PAGE })
    for (const { key, body } of rows) {
      if (body.status === 'issued') applyCommand(changes, body)
      after = key.id
    }
  }
  return changes
}

const { create_database, delete_database, create_user, delete_user, update_attributes } = guest.methods

/** Adds what a command creates and deletes. */
function applyCommand({ databases, users }: PendingChanges, { method, input }: CommandRecord): void {
  if (method === 'create_database')
    for (const { name } of create_database.input.parse(input).databases) databases.set(name, true)
  if (method === 'delete_database') databases.set(delete_database.input.parse(input).name, false)
  if (method === 'create_user')
    for (const user of create_user.input.parse(input).users) users.set(user.name, userView(user))
  if (method === 'delete_user') users.set(delete_user.input.parse(input).name, null)
  if (method !== 'update_attributes') return
  const { name, attributes } = update_attributes.input.parse(input)
  const { name: newName = name, host } = attributes
  const user = users.get(name)
  if (newName !== name) {
    users.set(name, null)
    // The agent knows whether the rename is done: it is asked by the new name.
    users.delete(newName)
  }
  if (user) users.set(newName, { ...user, name: newName, host: host ?? user.host })
}

const userView = ({ name, host = '%', databases }: UserSpec): UserView => ({ name, host, databases })
