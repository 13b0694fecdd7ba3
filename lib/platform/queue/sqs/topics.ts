import { CreateQueueCommand, DeleteQueueCommand, GetQueueUrlCommand, type SQSClient } from '@aws-sdk/client-sqs'
import type { Clock } from '../../../kit/clock.ts'
import { AccessDenied, NoSuchTopic } from '../../../ports/queue.ts'
import { errorName } from '../../aws/connection.ts'

/** SQS hides a received message for this long, in seconds. */
export const VISIBILITY_S = 30
const RETENTION_S = 14 * 24 * 3_600
/** A queue may not be usable for a second after it was created. */
const SETTLING_MS = 2_000
const SETTLING_POLL_MS = 250
const TOPIC = /^[A-Za-z0-9_-]{1,80}$/

/** Errors by the service's older names, which come with a prefix, and the newer ones. */
const QUEUE_MISSING = ['QueueDoesNotExist', 'NonExistentQueue']
const ACCESS_DENIED = ['AccessDenied', 'AccessDeniedException']
/** The queue exists with other attributes, as the deployment created it. */
const QUEUE_EXISTS = ['QueueNameExists', 'QueueAlreadyExists']
const DELETED_RECENTLY = ['QueueDeletedRecently']

interface SqsTopicsOptions {
  clock: Clock
  client: () => SQSClient
  /** Goes before each topic in a queue's name. */
  prefix: string
  /** Addresses that were given and are never looked up again. */
  urls: Record<string, string>
  /** Aborted when the queue is closed. */
  closed: AbortSignal
}

/** The SQS queues of the topics: their names, addresses and errors. */
export class SqsTopics {
  readonly #options: SqsTopicsOptions
  readonly #urls: Map<string, Promise<string>>
  /** Until when a topic that was created here may still be reported as missing. */
  readonly #settling = new Map<string, number>()

  constructor(options: SqsTopicsOptions) {
    this.#options = options
    this.#urls = new Map(Object.entries(options.urls).map(([topic, url]) => [topic, Promise.resolve(url)]))
  }

  /** The address of the topic's queue, from the cache or from SQS. */
  url(topic: string): Promise<string> {
    if (this.#options.closed.aborted) throw new Error('the queue is closed')
    const url = this.#urls.get(topic) ?? this.#lookUp(topic)
    this.#urls.set(topic, url)
    return url
  }

  async #lookUp(topic: string): Promise<string> {
    try {
      const request = new GetQueueUrlCommand({ QueueName: this.#queueName(topic) })
      const { QueueUrl } = await this.#options.client().send(request)
      return QueueUrl!
    } catch (error) {
      this.#urls.delete(topic)
      throw error
    }
  }

  #queueName(topic: string): string {
    const name = this.#options.prefix + topic
    if (!TOPIC.test(topic) || !TOPIC.test(name)) throw new RangeError(`not a topic: ${topic.slice(0, 100)}`)
    return name
  }

  /** Makes a call with the address of the topic's queue. Throws NoSuchTopic or AccessDenied. */
  async call<R>(topic: string, send: (url: string) => Promise<R>): Promise<R> {
    const { clock, closed, urls } = this.#options
    for (;;) {
      try {
        return await send(await this.url(topic))
      } catch (error) {
        const code = codeOf(error)
        if (ACCESS_DENIED.includes(code)) throw new AccessDenied(`not admitted to ${topic}`)
        if (!QUEUE_MISSING.includes(code)) throw error
        const isSettling = (this.#settling.get(topic) ?? 0) > clock.now()
        if (!isSettling) {
          if (!urls[topic]) this.#urls.delete(topic)
          throw new NoSuchTopic(topic)
        }
        await clock.sleep(SETTLING_POLL_MS, closed)
      }
    }
  }

  async declare(topic: string): Promise<void> {
    const request = new CreateQueueCommand({
      QueueName: this.#queueName(topic),
      Attributes: {
        VisibilityTimeout: String(VISIBILITY_S),
        MessageRetentionPeriod: String(RETENTION_S),
        SqsManagedSseEnabled: 'true',
      },
    })
    try {
      const { QueueUrl } = await this.#options.client().send(request)
      this.#urls.set(topic, Promise.resolve(QueueUrl!))
      this.#settling.set(topic, this.#options.clock.now() + SETTLING_MS)
    } catch (error) {
      if (!QUEUE_EXISTS.includes(codeOf(error))) throw declareError(error, topic)
    }
  }

  async remove(topic: string): Promise<void> {
    this.#settling.delete(topic)
    try {
      await this.call(topic, url => this.#options.client().send(new DeleteQueueCommand({ QueueUrl: url })))
    } catch (error) {
      if (!(error instanceof NoSuchTopic)) throw error
    }
    this.#urls.delete(topic)
  }
}

const codeOf = (error: unknown) => errorName(error).replace(/^AWS\.SimpleQueueService\./, '')

function declareError(error: unknown, topic: string): unknown {
  if (ACCESS_DENIED.includes(codeOf(error))) return new AccessDenied(`not admitted to ${topic}`)
  if (DELETED_RECENTLY.includes(codeOf(error)))
    return new Error(`${topic} was removed less than a minute ago; its name is still blocked`, { cause: error })
  return error
}
