import { expect } from '@jest/globals'
import type { Clock } from '../../lib/kit/clock.ts'
import { type Change, Conflict, type Item, type Key, type Store, type Subject } from '../../lib/ports/store.ts'

/** One backend set up for one test. */
export interface StoreSetup {
  /** The store under test, empty. */
  store: Store
  /** The store's clock. */
  clock: Pick<Clock, 'now'>
  /** Lets `ms` pass on it. */
  advance(ms: number): Promise<void>
  /** Cleans up; the store may be closed already. */
  close(): Promise<void>
}

/** An instance, and a cluster that it may be a part of. */
export const I: Subject = { kind: 'instance', id: 'i' }
export const C: Subject = { kind: 'cluster', id: 'c' }

export const key = (id: string, project = 'demo'): Key => ({ project, id })
type Put = Change & { op: 'put' }
export const put = (id: string, fields: Partial<Put> = {}): Put => ({ op: 'put', key: key(id), body: {}, ...fields })
export const ids = (items: Item[]) => items.map(item => item.key.id)

/** Calls of the store under test, which `current` gives. */
export function storeContext(current: () => StoreSetup) {
  const write = (...changes: Change[]) => current().store.transact(changes)
  const read = (id: string) => current().store.get(key(id))
  const later = (ms: number) => current().clock.now() + ms

  async function conflict(index: number, reason: 'version' | 'bound', ...changes: Change[]): Promise<void> {
    const error = await write(...changes).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(Conflict)
    expect(error).toMatchObject({ index, reason })
  }

  /** All pages of a listing, each of at most `limit`. */
  async function pages(limit: number, next: (after?: string) => Promise<Item[]>): Promise<string[][]> {
    const result: string[][] = []
    for (let page = await next(); page.length > 0; page = await next(page.at(-1)!.key.id)) {
      expect(page.length).toBeLessThanOrEqual(limit)
      result.push(ids(page))
    }
    return result
  }

  async function allOf(kind: string, limit: number): Promise<string[]> {
    const names: string[] = []
    for (let after: string | undefined, hasNext = true; hasNext; hasNext = after !== undefined) {
      const page = await current().store.all(kind, { limit, ...(after !== undefined && { after }) })
      expect(page.items.length).toBeLessThanOrEqual(limit)
      names.push(...page.items.map(item => `${item.key.project} ${item.key.id}`))
      after = page.next
    }
    return names
  }

  return { write, read, later, conflict, pages, allOf }
}

export type StoreContext = ReturnType<typeof storeContext>
