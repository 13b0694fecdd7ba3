/** A received message. Delivery is at least once and unordered; callers must not assume more. */
export interface Message {
  id: string
  body: string
  /** Identifies this delivery for `ack`, `extend` and `release`. */
  receipt: string
  /** 1 for the first delivery. */
  attempt: number
  group?: string
}

/** A message to send. */
export interface Outgoing {
  /** At most 256 KiB of UTF-8. */
  body: string
  /** Delay of the delivery, in milliseconds. */
  delayMs?: number
  /**
   * The project of the message: a hint for fairness between groups, not for ordering. The socket server replaces it, in
   * messages that are sent under a grant, by the grant's first topic. SQS and RabbitMQ take it from the sender.
   */
  group?: string
}

/** Options of `receive`. */
export interface ReceiveOptions {
  /** The most messages to return: 1 to 10. */
  max: number
  /** How long to wait for a first message, in milliseconds. 0: return at once. */
  waitMs: number
  /** Ends the wait early, without messages. */
  signal?: AbortSignal
}

/** The topic was not declared, or it was removed. */
export class NoSuchTopic extends Error {
  override name = 'NoSuchTopic'
  constructor(topic: string) {
    super(`no such topic: ${topic}`)
  }
}

/** The caller's credentials do not allow this topic. */
export class AccessDenied extends Error {
  override name = 'NotAdmitted'
}

/** The message queue. A message that is not acknowledged within 30 s (or as extended) is redelivered. */
export interface Queue {
  /** Creates a topic. Does nothing if it exists. A topic's name has 1-80 characters of `[A-Za-z0-9_-]`. */
  declare(topic: string): Promise<void>
  /** Removes a topic with its messages; waiting receivers get NoSuchTopic. Does nothing if there is none. */
  remove(topic: string): Promise<void>
  send(topic: string, messages: Outgoing[]): Promise<void>
  receive(topic: string, options: ReceiveOptions): Promise<Message[]>
  /**
   * The approximate number of waiting messages; 0 if there is no such topic. Missing if the backend cannot count them.
   */
  backlog?(topic: string): Promise<number>
  /**
   * The best number of concurrent `receive` calls for a consumer, if one call can be held up by other traffic. Default:
   * 1.
   */
  receives?: number
  /** Acknowledges deliveries, which removes their messages. Unknown receipts are ignored. */
  ack(topic: string, receipts: string[]): Promise<void>
  /** Postpones the redelivery to `ms` milliseconds from now. A backend may ignore it. */
  extend(topic: string, receipt: string, ms: number): Promise<void>
  /** Returns deliveries to the queue, to be redelivered after `delayMs` milliseconds. */
  release(topic: string, receipts: string[], delayMs?: number): Promise<void>
  /** Moves deliveries to the dead-letter queue, where operators see them. Missing if the backend has none. */
  deadLetter?(topic: string, receipts: string[]): Promise<void>
  /** Ends every wait, without messages, and closes the connections. */
  close(): Promise<void>
}

/** The topics on which an agent or a host daemon may receive and send. */
export interface Grant {
  receive: string[]
  send: string[]
  /** When it expires, in milliseconds since the epoch. */
  expires: number
}
