/** Queues that take turns, by name; an item enters at the end of its lane. */
export class Lanes<T extends object> {
  /** Linked lists, in the order of their turns; none is empty. */
  readonly #lanes = new Map<string, { first: Link<T>; last: Link<T> }>()
  size = 0

  add(name: string, item: T): void {
    const link: Link<T> = { item }
    const lane = this.#lanes.get(name)
    if (lane) lane.last = lane.last.next = link
    else this.#lanes.set(name, { first: link, last: link })
    this.size++
  }

  /** The first item of the lane whose turn it is. */
  take(): T | undefined {
    const [turn] = this.#lanes
    if (!turn) return undefined
    const [name, lane] = turn
    const { item, next } = lane.first
    // Unlinked, so that an old first item does not keep all later ones from the garbage collector.
    delete lane.first.next
    if (!next || this.#lanes.size > 1) this.#lanes.delete(name)
    if (next) {
      lane.first = next
      this.#lanes.set(name, lane) // behind the others
    }
    this.size--
    return item
  }
}

interface Link<T> {
  item: T
  next?: Link<T>
}
