import { BadTransaction, type Change, MAX_CHANGES, MAX_ITEM_BYTES } from '../../ports/store.ts'

/** The part of a record's id before `#`. */
export function kindOf(id: string): string {
  const end = id.indexOf('#')
  return end < 0 ? id : id.slice(0, end)
}

/** The body after an `add`, and the sum. Throws BadTransaction if the field holds no number. */
export function applyAdd(body: unknown, change: Change & { op: 'add' }): { body: object; result: number } {
  if (typeof body !== 'object' || body === null)
    throw new BadTransaction(`${change.key.id} is not an object: nothing can be added to it`)
  const current: unknown = Object.hasOwn(body, change.field) ? Reflect.get(body, change.field) : 0
  if (typeof current !== 'number') throw new BadTransaction(`${change.field} of ${change.key.id} is not a number`)
  const result = current + change.by
  return { body: { ...body, [change.field]: result }, result }
}

/** The JSON of each change that has a body. Throws BadTransaction. */
export function checkChanges(changes: Change[]): (string | undefined)[] {
  if (changes.length > MAX_CHANGES) throw new BadTransaction(`${changes.length} changes are more than ${MAX_CHANGES}`)
  if (changes.length > 1) {
    const keys = new Set(changes.map(({ key }) => `${key.project}/${key.id}`))
    if (keys.size < changes.length) throw new BadTransaction('two changes of one key')
  }
  return changes.map(change => (change.op === 'put' ? toJson(change.body) : undefined))
}

/** A body's JSON. Throws BadTransaction if it is too long, or cannot be represented. */
export function toJson(body: unknown): string {
  const json: string | undefined = JSON.stringify(body)
  if (json === undefined) throw new BadTransaction('a body that JSON cannot represent')
  // A UTF-16 unit has at most three bytes, so most bodies need no counting.
  if (json.length * 3 > MAX_ITEM_BYTES && Buffer.byteLength(json) > MAX_ITEM_BYTES)
    throw new BadTransaction(`a body of more than ${MAX_ITEM_BYTES} bytes`)
  return json
}
