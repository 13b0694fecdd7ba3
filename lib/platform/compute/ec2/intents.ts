import { recordType, renameFields, upgradeField, withOptimisticRetry } from '../../../kit/records.ts'
import type { Store } from '../../../ports/store.ts'
import { CloudFault } from './errors.ts'
import type { TaggedPart } from './tags.ts'

/** What is requested of AWS for a part, recorded before the request: after a crash it is found again. */
export interface Intent {
  instance: string
  /** When its creation was first requested, in milliseconds since the epoch; absent if only its removal was. */
  requestedAt?: number
  /** AWS's id of it. */
  id?: string
  /** Where a server's database listens. */
  port?: number
  /** Its removal was requested: it is never created again. */
  deleted?: true
  /** AWS accepted its removal, or refused its creation: if AWS does not list it, it does not exist. */
  removed?: true
  /** A public address of its own. */
  address?: { id: string; ip: string }
  /** The last change that was carried out, and the one in progress. */
  changeId?: string
  inProgress?: { changeId: string; phase: 'stopping' | 'starting' }
}

const intents = recordType<Intent>('ec2', body =>
  upgradeField(
    renameFields(body, { wish: 'changeId', asked: 'requestedAt', buried: 'deleted', doing: 'inProgress' }),
    'inProgress',
    change => renameFields(change, { wish: 'changeId' }),
  ),
)

/** A removed part's name is remembered for longer than any request for it can be under way. */
const DELETED_MS = 86_400_000

export interface Intents {
  read(part: TaggedPart): Promise<Intent | undefined>
  /** Records, at the first call, that the part is to be created. Returns the intent. */
  recordIntent(part: TaggedPart): Promise<Intent>
  /** Creates the part by `call`, and records its id, or that AWS refused. */
  createOnce<T>(part: TaggedPart, call: () => Promise<T>, idOf: (created: T) => string | undefined): Promise<T>
  /** Changes the intent and returns the new one. */
  write(part: TaggedPart, change: (intent: Intent) => Intent): Promise<Intent>
}

export function intentsIn(store: Store, now: () => number): Intents {
  const read: Intents['read'] = async ({ project, name }) => (await intents.get(store, project, name))?.body
  const write: Intents['write'] = ({ project, name, instance }, change) =>
    withOptimisticRetry(store, async () => {
      const existing = await intents.get(store, project, name)
      const body = change(existing?.body ?? { instance })
      const indexed = body.deleted ? { expires: now() + DELETED_MS } : {}
      const record = existing ? intents.replace(existing, body, indexed) : intents.create(project, name, body, indexed)
      return { changes: [record], result: body }
    })
  return {
    read,
    write,
    async createOnce(part, call, idOf) {
      try {
        const created = await call()
        const id = idOf(created)
        if (id !== undefined) await write(part, ({ removed: _, ...intent }) => ({ ...intent, id, requestedAt: now() }))
        return created
      } catch (error) {
        // AWS answers a repeated client token with what it created: a refusal means that there is nothing.
        if (error instanceof CloudFault) await write(part, intent => ({ ...intent, removed: true }))
        throw error
      }
    },
    async recordIntent(part) {
      const existing = await read(part)
      if (existing) return existing
      return write(part, intent =>
        intent.deleted || intent.requestedAt !== undefined ? intent : { ...intent, requestedAt: now() },
      )
    },
  }
}
