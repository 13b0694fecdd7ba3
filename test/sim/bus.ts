import type { Random } from '../../lib/kit/clock.ts'
import type { EmbeddedQueue } from '../../lib/platform/queue/embedded.ts'
import { NoSuchTopic, type Outgoing, type Queue } from '../../lib/platform/queue/queue.ts'

/** Of 100 messages, how many meet which fate. */
export interface Faults {
  lost: number
  repeated: number
  delayed: number
  flipped: number
  cut: number
}

export const NO_FAULTS: Faults = { lost: 0, repeated: 0, delayed: 0, flipped: 0, cut: 0 }

/** A bus that loses, repeats, delays (and so reorders), flips and cuts messages, as the seed decides. */
export function faultyBus(inner: EmbeddedQueue, random: Random, faults: (topic: string) => Faults): Queue {
  const dice = () => (random.bytes(1)[0]! * 100) / 256
  const fate = (topic: string, message: Outgoing): Outgoing[] => {
    const { lost, repeated, delayed, flipped, cut } = faults(topic)
    const thrown = dice()
    if (thrown < lost) return []
    if (thrown < lost + repeated) return [message, { ...message, delayMs: 3_000 }]
    if (thrown < lost + repeated + delayed) return [{ ...message, delayMs: 100 * random.bytes(1)[0]! }]
    if (thrown < lost + repeated + delayed + flipped) return [{ ...message, body: flip(message.body, random) }]
    if (thrown < lost + repeated + delayed + flipped + cut)
      return [{ ...message, body: message.body.slice(0, message.body.length / 2) }]
    return [message]
  }
  return {
    ...inner,
    async send(topic, messages) {
      const left = messages.flatMap(message => fate(topic, message))
      if (left.length > 0) await inner.send(topic, left)
      else if (!inner.topics().includes(topic)) throw new NoSuchTopic(topic)
    },
  }
}

function flip(body: string, random: Random): string {
  const at = ((random.bytes(1)[0]! << 8) + random.bytes(1)[0]!) % Math.max(1, body.length)
  return `${body.slice(0, at)}${body[at] === 'A' ? 'B' : 'A'}${body.slice(at + 1)}`
}
