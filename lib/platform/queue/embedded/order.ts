/** A message of a topic, in the ready rotation or in the schedule. */
export interface Entry {
  id: string
  body: string
  group: string | undefined
  /** The size of its body. */
  bytes: number
  attempt: number
  /** The receipt of its latest delivery. */
  receipt: string
  /** When it becomes ready, in milliseconds since the epoch; valid while it is in the schedule. */
  readyAt: number
  /** Its index in the schedule's heap; -1 = it is not scheduled. */
  slot: number
  /** The next entry of its group, while it is ready. */
  next?: Entry | undefined
}

/** Ready messages: the groups take turns, one message each. */
export class Rotation {
  /** A linked list of entries for each group, in the order of their turns; none is empty. */
  readonly #groups = new Map<string | undefined, { first: Entry; last: Entry }>()
  size = 0

  add(entry: Entry): void {
    const group = this.#groups.get(entry.group)
    if (group) group.last.next = entry
    if (group) group.last = entry
    else this.#groups.set(entry.group, { first: entry, last: entry })
    this.size++
  }

  take(): Entry | undefined {
    const turn = this.#groups.entries().next().value
    if (!turn) return undefined
    const [name, group] = turn
    const entry = group.first
    this.#groups.delete(name)
    if (entry.next) this.#groups.set(name, { first: entry.next, last: group.last }) // behind the others
    entry.next = undefined
    this.size--
    return entry
  }
}

/** A binary heap by `readyAt`. Entries know their slot, so that an acked one leaves at once instead of at its time. */
export class Schedule {
  readonly #heap: Entry[] = []

  first(): Entry | undefined {
    return this.#heap[0]
  }

  /** Adds an entry, or moves it. */
  set(entry: Entry, readyAt: number): void {
    entry.readyAt = readyAt
    this.#settle(entry, entry.slot < 0 ? this.#heap.length : entry.slot)
  }

  remove(entry: Entry): void {
    if (entry.slot < 0) return
    const last = this.#heap.pop()
    if (last && last !== entry) this.#settle(last, entry.slot)
    entry.slot = -1
  }

  /** Puts the entry into its place, upwards or downwards from a free slot. */
  #settle(entry: Entry, free: number): void {
    let slot = free
    const timeOf = (other: number) => this.#heap[other]?.readyAt ?? Infinity
    const parent = () => (slot - 1) >> 1
    const child = () => (timeOf(slot * 2 + 2) < timeOf(slot * 2 + 1) ? slot * 2 + 2 : slot * 2 + 1)
    while (slot > 0 && timeOf(parent()) > entry.readyAt) slot = this.#put(this.#heap[parent()]!, slot)
    while (timeOf(child()) < entry.readyAt) slot = this.#put(this.#heap[child()]!, slot)
    this.#put(entry, slot)
  }

  /** Returns the slot that became free. */
  #put(entry: Entry, slot: number): number {
    const previous = entry.slot
    this.#heap[slot] = entry
    entry.slot = slot
    return previous
  }
}
