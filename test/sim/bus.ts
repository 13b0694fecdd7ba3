import type { Random } from '../../lib/kit/clock.ts'
import type { EmbeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { NoSuchTopic, type Outgoing, type Queue } from '../../lib/ports/queue.ts'

/** Of 100 messages, how many are lost, sent twice, late, changed in one character, or cut in half. */
export interface Faults {
  lost: number
  repeated: number
  delayed: number
  flipped: number
  cut: number
}

export const NO_FAULTS: Faults = { lost: 0, repeated: 0, delayed: 0, flipped: 0, cut: 0 }

/** A queue that loses, repeats, delays (and so reorders), flips and cuts messages; the seed decides which. */
export function faultyBus(inner: EmbeddedQueue, random: Random, faults: (topic: string) => Faults): Queue {
  const percent = () => (random.bytes(1)[0]! * 100) / 256
  const fate = (topic: string, message: Outgoing): Outgoing[] => {
    const { lost, repeated, delayed, flipped, cut } = faults(topic)
    const roll = percent()
    if (roll < lost) return []
    if (roll < lost + repeated) return [message, { ...message, delayMs: 3_000 }]
    if (roll < lost + repeated + delayed) return [{ ...message, delayMs: 100 * random.bytes(1)[0]! }]
    if (roll < lost + repeated + delayed + flipped) return [{ ...message, body: flip(message.body, random) }]
    if (roll < lost + repeated + delayed + flipped + cut)
      return [{ ...message, body: message.body.slice(0, message.body.length / 2) }]
    return [message]
  }
  return {
    ...inner,
    async send(topic, messages) {
      const delivered = messages.flatMap(message => fate(topic, message))
      if (delivered.length > 0) await inner.send(topic, delivered)
      else if (!inner.topics().includes(topic)) throw new NoSuchTopic(topic)
    },
  }
}

function flip(body: string, random: Random): string {
  const position = ((random.bytes(1)[0]! << 8) + random.bytes(1)[0]!) % Math.max(1, body.length)
  return `${body.slice(0, position)}${body[position] === 'A' ? 'B' : 'A'}${body.slice(position + 1)}`
}
