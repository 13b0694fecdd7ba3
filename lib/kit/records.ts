import type { Change, Item, Key, Range, Store } from '../platform/store/store.ts'
import { Conflict } from '../platform/store/store.ts'

/** A record with its body typed. */
export interface Stored<T> extends Item {
  body: T
}

/** The indexed fields of a record. */
export interface Indexed {
  due?: number
  instance?: string
  expires?: number
}

/** Typed access to the records of one kind; what is read was written through the same kind. */
export interface Kind<T> {
  name: string
  key(project: string, id: string): Key
  get(store: Store, project: string, id: string): Promise<Stored<T> | undefined>
  list(store: Store, project: string, range: Range): Promise<Stored<T>[]>
  all(store: Store, range: Range): Promise<{ items: Stored<T>[]; next?: string }>
  ofInstance(store: Store, instance: string, range: Range): Promise<Stored<T>[]>
  /** The change that makes it; it must not exist. */
  create(project: string, id: string, body: T, indexed?: Indexed): Change
  /** The change that replaces it; it must still be what was read. Indexed fields stay unless given. */
  replace(item: Stored<T>, body: T, indexed?: Partial<Record<keyof Indexed, number | string | undefined>>): Change
  remove(item: Stored<T>): Change
}

export function kind<T>(name: string): Kind<T> {
  const key = (project: string, id: string): Key => ({ project, id: `${name}#${id}` })
  return {
    name,
    key,
    get: async (store, project, id) => (await store.get(key(project, id))) as Stored<T> | undefined,
    list: async (store, project, range) => (await store.list(project, name, range)) as Stored<T>[],
    all: async (store, range) => (await store.all(name, range)) as { items: Stored<T>[]; next?: string },
    ofInstance: async (store, instance, range) => (await store.ofInstance(instance, name, range)) as Stored<T>[],
    create: (project, id, body, indexed = {}) => ({ op: 'put', key: key(project, id), body, was: 0, ...indexed }),
    replace(item, body, indexed = {}) {
      const { due, instance, expires } = { ...item, ...indexed } as Indexed
      const kept = { ...(due !== undefined && { due }), ...(instance && { instance }), ...(expires && { expires }) }
      return { op: 'put', key: item.key, body, was: item.version, ...kept }
    },
    remove: item => ({ op: 'delete', key: item.key, was: item.version }),
  }
}

const TRIES = 50

/**
 * Reads, decides and writes until no other writer comes between. `decide` gets a fresh read each time and answers the
 * changes, or writes by itself and answers none. Only conflicts of version are tried again; a bound's is thrown.
 */
export async function retrying<R>(store: Store, decide: () => Promise<{ changes: Change[]; result: R }>): Promise<R> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { changes, result } = await decide()
      if (changes.length > 0) await store.transact(changes)
      return result
    } catch (error) {
      if (!(error instanceof Conflict) || error.reason === 'bound' || attempt >= TRIES) throw error
    }
  }
}
