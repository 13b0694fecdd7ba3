import { type Change, Conflict, type Item, type Key, type Range, type Store, type Subject } from '../ports/store.ts'

/** A stored record whose body has a type. */
export interface Stored<T> extends Item {
  body: T
}

/** The indexed fields of a record. Times are milliseconds since the epoch. */
export interface Indexed {
  /** When `periodic` next checks the record. */
  due?: number
  /** What the record belongs to. */
  subject?: Subject
  /** What its subject is a part of. */
  parent?: Subject
  /** When the record ceases to exist. */
  expires?: number
}

/** Typed access to the records of one kind. Bodies are not validated: only this type may write records of its kind. */
export interface RecordType<T> {
  name: string
  key(project: string, id: string): Key
  /** A record as the store returned it, with its body upgraded to the current form. */
  read(item: Item): Stored<T>
  get(store: Store, project: string, id: string): Promise<Stored<T> | undefined>
  /** Those of a project, in the order of their ids. */
  list(store: Store, project: string, range: Range): Promise<Stored<T>[]>
  /** Those of all projects. Pass `next` as `after` for the next page; it is missing on the last. */
  all(store: Store, range: Range): Promise<{ items: Stored<T>[]; next?: string }>
  /** Those of a subject, in the order of their ids. */
  ofSubject(store: Store, subject: Subject, range: Range): Promise<Stored<T>[]>
  /** Those whose subject is a part of `parent`, likewise. */
  ofParent(store: Store, parent: Subject, range: Range): Promise<Stored<T>[]>
  /** The change that creates a record. It conflicts if the record exists. */
  create(project: string, id: string, body: T, indexed?: Indexed): Change
  /**
   * The change that replaces a record. It conflicts if the record changed since it was read. Indexed fields stay unless
   * given.
   */
  replace(item: Stored<T>, body: T, indexed?: { [K in keyof Indexed]?: Indexed[K] | undefined }): Change
  /** The change that deletes a record. It conflicts if the record changed since it was read. */
  remove(item: Stored<T>): Change
}

/**
 * Defines a kind of record. Records are stored under (project, `name#id`). `upgrade` converts a body that an earlier
 * version of Coffer wrote; it gets every body that is read, and returns a current one unchanged.
 *
 * @example
 * const orders = recordType<{ total: number }>('order')
 * await store.transact([orders.create('project-1', 'order-7', { total: 12 })])
 * const order = await orders.get(store, 'project-1', 'order-7') // order?.body.total is 12
 */
export function recordType<T>(name: string, upgrade?: (body: object) => object): RecordType<T> {
  const key = (project: string, id: string): Key => ({ project, id: `${name}#${id}` })
  const read = (item: Item): Stored<T> => {
    const body = upgrade && item.body !== null ? upgrade(item.body as object) : item.body
    return (body === item.body ? item : { ...item, body }) as Stored<T>
  }
  return {
    name,
    key,
    read,
    async get(store, project, id) {
      const item = await store.get(key(project, id))
      return item && read(item)
    },
    list: async (store, project, range) => (await store.list(project, name, range)).map(read),
    async all(store, range) {
      const page = await store.all(name, range)
      return { ...page, items: page.items.map(read) }
    },
    ofSubject: async (store, subject, range) => (await store.ofSubject(subject, name, range)).map(read),
    ofParent: async (store, parent, range) => (await store.ofParent(parent, name, range)).map(read),
    create: (project, id, body, indexed = {}) => ({ op: 'put', key: key(project, id), body, was: 0, ...indexed }),
    replace(item, body, indexed = {}) {
      const { due, subject, parent, expires } = { ...item, ...indexed }
      return {
        op: 'put',
        key: item.key,
        body,
        was: item.version,
        ...(due !== undefined && { due }),
        ...(subject && { subject }),
        ...(parent && { parent }),
        ...(expires && { expires }),
      }
    },
    remove: item => ({ op: 'delete', key: item.key, was: item.version }),
  }
}

const MAX_ATTEMPTS = 50

/**
 * Reads, decides and writes, and starts over when another writer comes between. `decide` must read afresh each time. It
 * returns the changes to write, or writes by itself and returns none. Throws Conflict when a bound is exceeded, or
 * after 50 attempts.
 *
 * @example
 * const total = await withOptimisticRetry(store, async () => {
 *   const order = await orders.get(store, project, id)
 *   if (!order) throw notFound(id)
 *   const body = { total: order.body.total + 1 }
 *   return { changes: [orders.replace(order, body)], result: body.total }
 * })
 */
export async function withOptimisticRetry<R>(
  store: Store,
  decide: () => Promise<{ changes: Change[]; result: R }>,
): Promise<R> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { changes, result } = await decide()
      if (changes.length > 0) await store.transact(changes)
      return result
    } catch (error) {
      if (!(error instanceof Conflict) || error.reason === 'bound' || attempt >= MAX_ATTEMPTS) throw error
    }
  }
}

/**
 * The body with its fields renamed; the same object if it has none of the old names. For `upgrade`.
 *
 * @example
 * recordType<Saga>('saga', body => renameFields(body, { naps: 'waits' }))
 */
export function renameFields(body: object, names: Record<string, string>): object {
  if (!Object.keys(names).some(name => name in body)) return body
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [names[name] ?? name, value]))
}

/** The body with the object in one of its fields upgraded, if there is one. */
export function upgradeField(body: object, field: string, upgrade: (value: object) => object): object {
  const value: unknown = Object(body)[field]
  if (typeof value !== 'object' || value === null) return body
  const upgraded = upgrade(value)
  return upgraded === value ? body : { ...body, [field]: upgraded }
}
