import {
  type BatchResultErrorEntry,
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import type { Clock } from '../../../kit/clock.ts'
import type { Outgoing, Queue } from '../../../ports/queue.ts'
import { type AwsConnection, clientOptions, lazyClient } from '../../aws/connection.ts'
import { batches, encodeSqsBody } from './body.ts'
import { MAX_POLL_S, SqsReceiver } from './receiver.ts'
import { SqsTopics } from './topics.ts'

export interface SqsQueue extends Queue {
  /** The address of the topic's queue, as SQS gave it. Throws NoSuchTopic. */
  address(topic: string): Promise<string>
}

interface SqsQueueOptions {
  clock: Clock
  connection: AwsConnection
  /** Goes before each topic in a queue's name (the stage); with the topic at most 80 characters. */
  prefix: string
  /** Addresses of topics by topic. A caller that may not look up others (an agent) needs all of its own here. */
  urls?: Record<string, string>
}

/** SQS's limits on a delay and on the time that a message is hidden, in seconds. */
const MAX_DELAY_S = 900
const MAX_HIDDEN_S = 43_200
const ANSWER_MS = (MAX_POLL_S + 8) * 1_000

/**
 * Topics as SQS standard queues; groups are fair queues' groups. Times are whole seconds, rounded up. Throws RangeError
 * for a delay of more than 15 min, or a release of more than 12 h. A removed topic's name is blocked for a minute:
 * declaring it fails.
 */
export function sqsQueue({ clock, connection, prefix, urls = {} }: SqsQueueOptions): SqsQueue {
  const sqs = lazyClient(() => new SQSClient(clientOptions(connection, ANSWER_MS)))
  const client = () => sqs.get()
  const closing = new AbortController()
  const closed = closing.signal
  const topics = new SqsTopics({ clock, client, prefix, urls, closed })
  const queue: SqsCalls = { client, topics }
  const giveBack = (topic: string, receipts: string[]) => hide(queue, topic, receipts, 0)
  const receiver = new SqsReceiver({ clock, client, topics, closed, giveBack })
  return {
    declare: topic => topics.declare(topic),
    async remove(topic) {
      await topics.remove(topic)
      receiver.endWaits(topic)
    },
    send: (topic, messages) => send(queue, topic, messages),
    receive: (topic, options) => receiver.receive(topic, options),
    ack: (topic, receipts) => ack(queue, topic, receipts),
    extend: (topic, receipt, ms) => hide(queue, topic, [receipt], ms),
    release: (topic, receipts, delayMs = 0) => hide(queue, topic, receipts, delayMs),
    address: topic => topics.call(topic, async url => url),
    async close() {
      closing.abort()
      sqs.destroy()
    },
  }
}

interface SqsCalls {
  client: () => SQSClient
  topics: SqsTopics
}

async function send({ client, topics }: SqsCalls, topic: string, messages: Outgoing[]): Promise<void> {
  if (messages.length === 0) await topics.url(topic)
  const entries = messages.map(({ body, delayMs = 0, group }, index) => ({
    Id: String(index),
    MessageBody: encodeSqsBody(body),
    DelaySeconds: toSeconds(delayMs, MAX_DELAY_S),
    ...(group && { MessageGroupId: group }),
  }))
  for (const Entries of batches(entries, entry => Buffer.byteLength(entry.MessageBody))) {
    const { Failed } = await topics.call(topic, url =>
      client().send(new SendMessageBatchCommand({ QueueUrl: url, Entries })),
    )
    const [first] = Failed ?? []
    if (first) throw new Error(`SQS refused ${Failed!.length} messages: ${first.Code} ${first.Message ?? ''}`)
  }
}

async function ack({ client, topics }: SqsCalls, topic: string, receipts: string[]): Promise<void> {
  for (const batch of batches([...new Set(receipts)], () => 0)) {
    const Entries = batch.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }))
    checkFailures(
      await topics.call(topic, url => client().send(new DeleteMessageBatchCommand({ QueueUrl: url, Entries }))),
    )
  }
}

async function hide({ client, topics }: SqsCalls, topic: string, receipts: string[], ms: number): Promise<void> {
  const VisibilityTimeout = toSeconds(ms, MAX_HIDDEN_S)
  for (const batch of batches([...new Set(receipts)], () => 0)) {
    const Entries = batch.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle, VisibilityTimeout }))
    checkFailures(
      await topics.call(topic, url =>
        client().send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: url, Entries })),
      ),
    )
  }
}

/** What SQS blames on the caller are receipts that are unknown or no longer valid: ignored. */
function checkFailures({ Failed = [] }: { Failed?: BatchResultErrorEntry[] | undefined }): void {
  const failure = Failed.find(({ SenderFault }) => !SenderFault)
  if (failure) throw new Error(`the queue failed: ${failure.Code} ${failure.Message ?? ''}`)
}

/** Whole seconds, rounded up. Throws RangeError for more than `maxSeconds`. */
function toSeconds(ms: number, maxSeconds: number): number {
  const seconds = Math.max(Math.ceil(ms / 1_000), 0)
  if (!(seconds <= maxSeconds)) throw new RangeError(`${ms} ms are more than the ${maxSeconds} s that SQS allows`)
  return seconds
}
