/** A message as received. At-least-once and unordered: all that a caller may assume. */
export interface Message {
  id: string
  body: string
  /** What to ack, extend or release it with; valid for this delivery only. */
  receipt: string
  /** 1 for the first delivery. */
  attempt: number
  group?: string
}

/** A message to send. */
export interface Outgoing {
  /** At most 256 KiB of UTF-8. */
  body: string
  /** Not delivered earlier than this many milliseconds from now. */
  delayMs?: number
  /**
   * Whose it is (the project): a hint for fairness between groups, never an order. Of what is sent by a grant the socket's
   * server makes it the grant's first own topic; on SQS and RabbitMQ it is what the sender says.
   */
  group?: string
}

export interface ReceiveOptions {
  /** 1 to 10. */
  max: number
  /** How long to wait for a first message, in milliseconds; 0 = answer at once. */
  waitMs: number
  /** Ends the wait early, with no messages. */
  signal?: AbortSignal
}

/** The topic is not declared (or was removed). */
export class NoSuchTopic extends Error {
  override name = 'NoSuchTopic'
  constructor(topic: string) {
    super(`no such topic: ${topic}`)
  }
}

/** The caller's credentials do not admit this topic. */
export class NotAdmitted extends Error {
  override name = 'NotAdmitted'
}

/** The bus. A received message that is not acked within the visibility time of 30 s (or as extended) is delivered again. */
export interface Queue {
  /** Makes a topic; nothing happens if it exists. A topic is 1-80 of `[A-Za-z0-9_-]`. */
  declare(topic: string): Promise<void>
  /** Removes a topic with its messages, and ends its receivers' waits with NoSuchTopic; nothing happens if there is none. */
  remove(topic: string): Promise<void>
  send(topic: string, messages: Outgoing[]): Promise<void>
  receive(topic: string, options: ReceiveOptions): Promise<Message[]>
  /** How many messages wait for a receiver, about; 0 if there is no such topic. A backend that cannot tell leaves it out. */
  backlog?(topic: string): Promise<number>
  /** How many receives its consumer does best to have open at a time, where the next one waits for other traffic; else 1. */
  receives?: number
  /** Done with these deliveries. Unknown receipts are ignored. */
  ack(topic: string, receipts: string[]): Promise<void>
  /** Keeps a delivery hidden for `ms` from now. A backend may do nothing. */
  extend(topic: string, receipt: string, ms: number): Promise<void>
  /** Gives deliveries back, to be delivered again not earlier than `delayMs` from now. */
  release(topic: string, receipts: string[], delayMs?: number): Promise<void>
  /** Puts deliveries aside for an operator to see, never to be delivered again; a backend without that place leaves it out. */
  bury?(topic: string, receipts: string[]): Promise<void>
  /** Ends every wait (with no messages) and lets go of connections. */
  close(): Promise<void>
}

/** What an agent or a daemon on a machine may do: receive from and delete on its own topic, send to the conductor's. */
export interface Grant {
  receive: string[]
  send: string[]
  /** Milliseconds since the epoch. */
  expires: number
}

/** How an agent reaches SQS: addresses of its topics and credentials for these alone, which end when the grant does. */
export interface SqsAccess {
  kind: 'sqs'
  region: string
  endpoint?: string
  /** By topic. */
  urls: Record<string, string>
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string }
}
