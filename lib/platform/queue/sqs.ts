import {
  type BatchResultErrorEntry,
  ChangeMessageVisibilityBatchCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteQueueCommand,
  GetQueueUrlCommand,
  type Message as Received,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import type { Clock } from '../../kit/clock.ts'
import { type AwsConnection, clientOptions, nameOf, onUse } from '../aws.ts'
import { type Message, NoSuchTopic, NotAdmitted, type Outgoing, type Queue, type ReceiveOptions } from './queue.ts'
import { batches, packed, unpacked } from './sqs-body.ts'

export interface SqsQueue extends Queue {
  /** A topic's queue, as SQS gave its address. Throws NoSuchTopic. */
  address(topic: string): Promise<string>
}

export interface SqsQueueOptions {
  clock: Clock
  connection: AwsConnection
  /** Goes before each topic in a queue's name (the stage); with the topic at most 80 characters. */
  prefix: string
  /** Addresses of topics that are known already; who may not ask for others (an agent) needs all of its own here. */
  urls?: Record<string, string>
}

/** SQS's limits: a delay, a long poll and a time of hiding, in seconds. */
const MAX_DELAY_S = 900
const MAX_POLL_S = 20
const MAX_HIDDEN_S = 43_200
const VISIBILITY_S = 30
const KEPT_S = 14 * 24 * 3_600
/** A queue may not be usable for a second after it was made. */
const SETTLED_MS = 2_000
const PAUSE_MS = 250
const ANSWER_MS = (MAX_POLL_S + 8) * 1_000
const TOPIC = /^[A-Za-z0-9_-]{1,80}$/

/** Errors by the service's older names, which come with a prefix, and the newer ones. */
const GONE = ['QueueDoesNotExist', 'NonExistentQueue']
const REFUSED = ['AccessDenied', 'AccessDeniedException']
/** The queue is there with other attributes, as the deployment made it. */
const THERE = ['QueueNameExists', 'QueueAlreadyExists']
const DELETED_RECENTLY = ['QueueDeletedRecently']

/**
 * Topics as SQS standard queues; groups are fair queues' groups. Times are whole seconds, rounded up. Throws RangeError for a
 * delay of more than 15 min, or a release of more than 12 h. A removed topic's name is blocked for a minute: declaring waits.
 */
export function sqsQueue({ clock, connection, prefix, urls: known = {} }: SqsQueueOptions): SqsQueue {
  const client = onUse(() => new SQSClient(clientOptions(connection, ANSWER_MS)))
  const closed = new AbortController()
  const urls = new Map<string, Promise<string>>(
    Object.entries(known).map(([topic, url]) => [topic, Promise.resolve(url)]),
  )
  /** Until when a topic made here may still seem not to be there. */
  const settling = new Map<string, number>()
  /** The waits of this process, by topic. */
  const waits = new Map<string, Set<AbortController>>()

  function urlOf(topic: string): Promise<string> {
    if (closed.signal.aborted) throw new Error('the queue is closed')
    const url = urls.get(topic) ?? asked(topic)
    urls.set(topic, url)
    return url
  }

  async function asked(topic: string): Promise<string> {
    try {
      const { QueueUrl } = await client.get().send(new GetQueueUrlCommand({ QueueName: nameFor(topic) }))
      return QueueUrl!
    } catch (error) {
      urls.delete(topic)
      throw error
    }
  }

  function nameFor(topic: string): string {
    const name = prefix + topic
    if (!TOPIC.test(topic) || !TOPIC.test(name)) throw new RangeError(`not a topic: ${topic.slice(0, 100)}`)
    return name
  }

  /** Carries out a call on a topic, in the port's terms. */
  async function on<R>(topic: string, call: (url: string) => Promise<R>): Promise<R> {
    for (;;) {
      try {
        return await call(await urlOf(topic))
      } catch (error) {
        if (REFUSED.includes(codeOf(error))) throw new NotAdmitted(`not admitted to ${topic}`)
        if (!GONE.includes(codeOf(error))) throw error
        if (!((settling.get(topic) ?? 0) > clock.now())) {
          if (!known[topic]) urls.delete(topic)
          throw new NoSuchTopic(topic)
        }
        await clock.sleep(PAUSE_MS, closed.signal)
      }
    }
  }

  async function declare(topic: string): Promise<void> {
    const request = new CreateQueueCommand({
      QueueName: nameFor(topic),
      Attributes: {
        VisibilityTimeout: String(VISIBILITY_S),
        MessageRetentionPeriod: String(KEPT_S),
        SqsManagedSseEnabled: 'true',
      },
    })
    try {
      const { QueueUrl } = await client.get().send(request)
      urls.set(topic, Promise.resolve(QueueUrl!))
      settling.set(topic, clock.now() + SETTLED_MS)
    } catch (error) {
      if (!THERE.includes(codeOf(error))) throw told(error, topic)
    }
  }

  async function remove(topic: string): Promise<void> {
    settling.delete(topic)
    try {
      await on(topic, url => client.get().send(new DeleteQueueCommand({ QueueUrl: url })))
    } catch (error) {
      if (!(error instanceof NoSuchTopic)) throw error
    }
    urls.delete(topic)
    for (const wait of waits.get(topic) ?? []) wait.abort(new NoSuchTopic(topic))
  }

  async function send(topic: string, messages: Outgoing[]): Promise<void> {
    if (messages.length === 0) await urlOf(topic)
    const entries = messages.map(({ body, delayMs = 0, group }, index) => ({
      Id: String(index),
      MessageBody: packed(body),
      DelaySeconds: seconds(delayMs, MAX_DELAY_S),
      ...(group && { MessageGroupId: group }),
    }))
    for (const Entries of batches(entries, entry => Buffer.byteLength(entry.MessageBody))) {
      const { Failed } = await on(topic, url =>
        client.get().send(new SendMessageBatchCommand({ QueueUrl: url, Entries })),
      )
      const [first] = Failed ?? []
      if (first) throw new Error(`${Failed!.length} messages were not taken: ${first.Code} ${first.Message ?? ''}`)
    }
  }

  async function receive(topic: string, { max, waitMs, signal }: ReceiveOptions): Promise<Message[]> {
    if (!(max >= 1 && max <= 10)) throw new RangeError('max is 1 to 10')
    const wait = new AbortController()
    const end = () => wait.abort()
    const of = waits.get(topic) ?? new Set()
    waits.set(topic, of.add(wait))
    for (const ending of [signal, closed.signal]) ending?.aborted ? end() : ending?.addEventListener('abort', end)
    try {
      return await on(topic, url => polled(topic, url, max, clock.now() + waitMs, wait.signal))
    } finally {
      for (const ending of [signal, closed.signal]) ending?.removeEventListener('abort', end)
      of.delete(wait)
      if (of.size === 0) waits.delete(topic)
    }
  }

  /** Polls of at most 20 s, one after the other, until there is something or the time is over. */
  async function polled(topic: string, url: string, max: number, until: number, stop: AbortSignal): Promise<Message[]> {
    const ended = new Promise<undefined>(resolve => stop.addEventListener('abort', () => resolve(undefined)))
    for (;;) {
      if (stop.aborted) return []
      const left = Math.min(Math.max(Math.ceil((until - clock.now()) / 1_000), 0), MAX_POLL_S)
      const request = new ReceiveMessageCommand({
        QueueUrl: url,
        MaxNumberOfMessages: max,
        WaitTimeSeconds: left,
        VisibilityTimeout: VISIBILITY_S,
        MessageSystemAttributeNames: ['ApproximateReceiveCount', 'MessageGroupId'],
      })
      const poll = client
        .get()
        .send(request, { abortSignal: closed.signal })
        .then(({ Messages = [] }) => Messages.map(message))
      const messages = await Promise.race([poll, ended])
      if (!messages) void poll.then(late => giveBack(topic, late)).catch(() => undefined)
      if (stop.reason instanceof NoSuchTopic) throw stop.reason
      if (!messages || messages.length > 0 || clock.now() >= until) return messages ?? []
    }
  }

  /** A poll cannot be called back: what it brings when nobody waits any more is not to stay hidden. */
  async function giveBack(topic: string, messages: Message[]): Promise<void> {
    if (messages.length > 0)
      await hide(
        topic,
        messages.map(({ receipt }) => receipt),
        0,
      )
  }

  async function ack(topic: string, receipts: string[]): Promise<void> {
    for (const part of batches([...new Set(receipts)], () => 0)) {
      const Entries = part.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }))
      settle(await on(topic, url => client.get().send(new DeleteMessageBatchCommand({ QueueUrl: url, Entries }))))
    }
  }

  async function hide(topic: string, receipts: string[], ms: number): Promise<void> {
    const VisibilityTimeout = seconds(ms, MAX_HIDDEN_S)
    for (const part of batches([...new Set(receipts)], () => 0)) {
      const Entries = part.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle, VisibilityTimeout }))
      settle(
        await on(topic, url => client.get().send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: url, Entries }))),
      )
    }
  }

  return {
    declare,
    remove,
    send,
    receive,
    ack,
    extend: (topic, receipt, ms) => hide(topic, [receipt], ms),
    release: (topic, receipts, delayMs = 0) => hide(topic, receipts, delayMs),
    address: topic => on(topic, async url => url),
    async close() {
      closed.abort()
      client.destroy()
    },
  }
}

function message({ MessageId, Body, ReceiptHandle, Attributes }: Received): Message {
  const group = Attributes?.MessageGroupId
  return {
    id: MessageId!,
    body: unpacked(Body!),
    receipt: ReceiptHandle!,
    attempt: Number(Attributes?.ApproximateReceiveCount ?? 1),
    ...(group && { group }),
  }
}

/** What SQS blames on the caller are receipts that it does not know, or not any more: ignored. */
function settle({ Failed = [] }: { Failed?: BatchResultErrorEntry[] | undefined }): void {
  const ours = Failed.find(({ SenderFault }) => !SenderFault)
  if (ours) throw new Error(`the queue failed: ${ours.Code} ${ours.Message ?? ''}`)
}

function seconds(ms: number, most: number): number {
  const whole = Math.max(Math.ceil(ms / 1_000), 0)
  if (!(whole <= most)) throw new RangeError(`${ms} ms are more than the ${most} s that SQS takes`)
  return whole
}

const codeOf = (error: unknown) => nameOf(error).replace(/^AWS\.SimpleQueueService\./, '')

function told(error: unknown, topic: string): unknown {
  if (REFUSED.includes(codeOf(error))) return new NotAdmitted(`not admitted to ${topic}`)
  if (DELETED_RECENTLY.includes(codeOf(error)))
    return new Error(`${topic} was removed less than a minute ago; its name is blocked for so long`, { cause: error })
  return error
}
