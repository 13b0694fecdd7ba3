import { ReceiveMessageCommand, type SQSClient, type Message as SqsMessage } from '@aws-sdk/client-sqs'
import type { Clock } from '../../../kit/clock.ts'
import { type Message, NoSuchTopic, type ReceiveOptions } from '../../../ports/queue.ts'
import { decodeSqsBody } from './body.ts'
import { type SqsTopics, VISIBILITY_S } from './topics.ts'

/** SQS's longest long poll, in seconds. */
export const MAX_POLL_S = 20

interface SqsReceiverOptions {
  clock: Clock
  client: () => SQSClient
  topics: SqsTopics
  /** Aborted when the queue is closed. */
  closed: AbortSignal
  /** Makes messages visible again that arrived after their receiver had stopped waiting. */
  giveBack(topic: string, receipts: string[]): Promise<void>
}

interface Poll {
  topic: string
  url: string
  max: number
  /** When the receive ends, in milliseconds since the epoch. */
  endsAt: number
  stop: AbortSignal
}

/** Receives by long polls, and ends them early where SQS itself cannot. */
export class SqsReceiver {
  readonly #options: SqsReceiverOptions
  /** The waits of this process, by topic. */
  readonly #waits = new Map<string, Set<AbortController>>()

  constructor(options: SqsReceiverOptions) {
    this.#options = options
  }

  async receive(topic: string, { max, waitMs, signal }: ReceiveOptions): Promise<Message[]> {
    if (!(max >= 1 && max <= 10)) throw new RangeError('max is 1 to 10')
    const { clock, topics, closed } = this.#options
    const wait = new AbortController()
    const end = () => wait.abort()
    const waits = this.#waits.get(topic) ?? new Set()
    this.#waits.set(topic, waits.add(wait))
    for (const ending of [signal, closed]) ending?.aborted ? end() : ending?.addEventListener('abort', end)
    try {
      return await topics.call(topic, url =>
        this.#poll({ topic, url, max, endsAt: clock.now() + waitMs, stop: wait.signal }),
      )
    } finally {
      for (const ending of [signal, closed]) ending?.removeEventListener('abort', end)
      waits.delete(wait)
      if (waits.size === 0) this.#waits.delete(topic)
    }
  }

  /** Ends the waits for a topic that was removed, with NoSuchTopic. */
  endWaits(topic: string): void {
    for (const wait of this.#waits.get(topic) ?? []) wait.abort(new NoSuchTopic(topic))
  }

  /** Polls of at most 20 s, one after the other, until there are messages or the time is over. */
  async #poll({ topic, url, max, endsAt, stop }: Poll): Promise<Message[]> {
    const { clock, giveBack } = this.#options
    const stopped = new Promise<undefined>(resolve => stop.addEventListener('abort', () => resolve(undefined)))
    for (;;) {
      if (stop.aborted) return []
      const waitSeconds = Math.min(Math.max(Math.ceil((endsAt - clock.now()) / 1_000), 0), MAX_POLL_S)
      const poll = this.#receiveOnce(url, max, waitSeconds)
      const messages = await Promise.race([poll, stopped])
      // A poll cannot be cancelled: messages that it still brings must not stay hidden.
      if (!messages) void poll.then(unused => giveBack(topic, unused.map(receiptOf))).catch(() => undefined)
      if (stop.reason instanceof NoSuchTopic) throw stop.reason
      if (!messages || messages.length > 0 || clock.now() >= endsAt) return messages ?? []
    }
  }

  async #receiveOnce(url: string, max: number, waitSeconds: number): Promise<Message[]> {
    const { client, closed } = this.#options
    const request = new ReceiveMessageCommand({
      QueueUrl: url,
      MaxNumberOfMessages: max,
      WaitTimeSeconds: waitSeconds,
      VisibilityTimeout: VISIBILITY_S,
      MessageSystemAttributeNames: ['ApproximateReceiveCount', 'MessageGroupId'],
    })
    const { Messages = [] } = await client().send(request, { abortSignal: closed })
    return Messages.map(toMessage)
  }
}

const receiptOf = ({ receipt }: Message): string => receipt

function toMessage({ MessageId, Body, ReceiptHandle, Attributes }: SqsMessage): Message {
  const group = Attributes?.MessageGroupId
  return {
    id: MessageId!,
    body: decodeSqsBody(Body!),
    receipt: ReceiptHandle!,
    attempt: Number(Attributes?.ApproximateReceiveCount ?? 1),
    ...(group && { group }),
  }
}
