/** What a topic holds of a group: messages that wait, are delayed, or are received and not acked. */
export interface Held {
  messages: number
  bytes: number
}

const NOTHING: Held = { messages: 0, bytes: 0 }

/** Counts what a topic holds of each group. */
export class HeldByGroup {
  readonly #groups = new Map<string | undefined, Held>()

  of(group: string | undefined): Held {
    return this.#groups.get(group) ?? NOTHING
  }

  add({ group, bytes }: { group: string | undefined; bytes: number }): void {
    const held = this.of(group)
    this.#groups.set(group, { messages: held.messages + 1, bytes: held.bytes + bytes })
  }

  remove({ group, bytes }: { group: string | undefined; bytes: number }): void {
    const held = this.of(group)
    if (held.messages <= 1) this.#groups.delete(group)
    else this.#groups.set(group, { messages: held.messages - 1, bytes: held.bytes - bytes })
  }
}
