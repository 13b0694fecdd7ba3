import { z } from 'zod'

/** The queue server of the same machine: the unix socket's path, and a token for the machine's topics alone. */
const SocketAccess = z.object({ kind: z.literal('socket'), address: z.string(), token: z.string() })

/** Queue URLs by topic, and credentials for these alone that expire with the grant. */
const SqsAccess = z.object({
  kind: z.literal('sqs'),
  region: z.string(),
  endpoint: z.string().optional(),
  urls: z.record(z.string(), z.string()),
  credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string(), sessionToken: z.string() }),
})

/** A user of the machine's own on the server. */
const RabbitmqAccess = z.object({
  kind: z.literal('rabbitmq'),
  url: z.string(),
  username: z.string(),
  password: z.string(),
  /** Certificates (PEM) that the server's must be signed by; default: the system's. */
  ca: z.string().optional(),
})

/** How an agent or a host daemon reaches the queue: the backend, its address and the machine's credentials. */
export const QueueAccess = z.discriminatedUnion('kind', [SocketAccess, SqsAccess, RabbitmqAccess])
export type QueueAccess = z.infer<typeof QueueAccess>

/** The access to one backend. */
export type QueueAccessOf<Kind extends QueueAccess['kind']> = Extract<QueueAccess, { kind: Kind }>

/** The access, which is of this kind. Throws for another kind: a program keeps the queue that it started with. */
export function assertKind<Kind extends QueueAccess['kind']>(kind: Kind, access: QueueAccess): QueueAccessOf<Kind> {
  if (!isKind(kind, access)) throw new Error(`the queue is of another kind now (${access.kind}): restart this program`)
  return access
}

const isKind = <Kind extends QueueAccess['kind']>(kind: Kind, access: QueueAccess): access is QueueAccessOf<Kind> =>
  access.kind === kind
