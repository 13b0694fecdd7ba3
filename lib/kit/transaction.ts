import type { Outgoing, Queue } from '../ports/queue.ts'
import { type Change, Conflict, type Store } from '../ports/store.ts'
import type { Log } from './clock.ts'
import { messageOf } from './errors.ts'

/** A message with its topic. */
export interface TopicMessage extends Outgoing {
  topic: string
}

/** Changes to commit together, and the messages to send once they are committed. */
export interface Transaction {
  changes: Change[]
  messages: TopicMessage[]
  /**
   * The error in place of a Conflict when the change at this index exceeds its bound; undefined if that makes the
   * transaction stale, because it was made for what others have changed since.
   */
  onBound?(index: number): Promise<Error | undefined>
}

/**
 * How a commit went. `stale`: a record has changed since it was read, so the changes have to be made anew. `refused`: one
 * of the extra records conflicts.
 */
type CommitResult = 'committed' | 'stale' | 'refused'

/**
 * Commits a transaction together with extra records (`write` = the store's transact), or only checks it (its check).
 * Nothing is changed unless the result is `committed`. Throws what `onBound` returns.
 */
export async function tryCommit(
  { changes = [], onBound }: Partial<Transaction>,
  records: Change[],
  write: Store['transact'],
): Promise<CommitResult> {
  try {
    const all = [...changes, ...records]
    if (all.length > 0) await write(all)
    return 'committed'
  } catch (error) {
    if (!(error instanceof Conflict)) throw error
    if (error.index >= changes.length) return 'refused'
    if (error.reason === 'version') return 'stale'
    const refusal = onBound ? await onBound(error.index) : error
    if (!refusal) return 'stale'
    throw refusal
  }
}

/** How often a transaction is made anew: if others come between this often, something else is wrong. */
export const MAX_ATTEMPTS = 50

/** Sends messages of a committed transaction. A failure is logged only: `periodic` makes up for a lost message. */
export async function sendMessages(queue: Queue, messages: TopicMessage[] | undefined, log: Log): Promise<void> {
  for (const { topic, ...message } of messages ?? []) {
    try {
      await queue.send(topic, [message])
    } catch (error) {
      log.warn({ topic, error: messageOf(error) }, 'failed to send a message')
    }
  }
}

/**
 * Writes (`write` = the store's transact), or only checks (its check), what `decide` returns, which is also the result.
 * `decide` is called again, and has to read afresh, when a record has changed since it was read. Throws what `decide` and
 * `onBound` throw, and Conflict after 50 attempts.
 */
export async function decideUntilFresh<T extends Partial<Transaction>>(
  decide: () => Promise<T>,
  write: Store['transact'],
): Promise<T> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const transaction = await decide()
    if ((await tryCommit(transaction, [], write)) === 'committed') return transaction
  }
  throw new Conflict(0, 'version')
}

/**
 * Commits what `decide` returns, and sends its messages. Throws likewise.
 *
 * @example
 * await commit(platform, async () => beginRestart(platform, await findInstance(platform, caller, id)))
 */
export async function commit<T extends Partial<Transaction>>(
  { store, queue, log }: { store: Store; queue: Queue; log: Log },
  decide: () => Promise<T>,
): Promise<T> {
  const transaction = await decideUntilFresh(decide, changes => store.transact(changes))
  await sendMessages(queue, transaction.messages, log)
  return transaction
}
