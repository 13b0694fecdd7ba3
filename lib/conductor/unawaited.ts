import type { Clock } from '../kit/clock.ts'

const PERIOD_MS = 60_000
/**
 * What one agent may have stored in a minute. A page of a listing has a few kB, and a project asks a few hundred
 * times.
 */
const MAX_ANSWERS = 1_000
const MAX_BYTES = 8 * 1024 * 1024

/**
 * Bounds the answers that are stored because nobody in this process waits for them: an agent may send any number that
 * nobody asked for.
 */
export class UnawaitedAnswers {
  /** Since when, and how much, by the subject of the agent. */
  readonly #senders = new Map<string, { since: number; answers: number; bytes: number }>()

  /** Counts an answer; false if it is too much for a minute of its sender. */
  admit({ now }: Clock, subject: string, bytes: number): boolean {
    const time = now()
    // The oldest come first: whose minute is over is forgotten.
    for (const [name, { since }] of this.#senders) {
      if (Math.abs(time - since) < PERIOD_MS) break
      this.#senders.delete(name)
    }
    const sender = this.#senders.get(subject) ?? { since: time, answers: 0, bytes: 0 }
    if (sender.answers + 1 > MAX_ANSWERS || sender.bytes + bytes > MAX_BYTES) return false
    this.#senders.set(subject, { ...sender, answers: sender.answers + 1, bytes: sender.bytes + bytes })
    return true
  }
}
