import { createHash } from 'node:crypto'
import type { Random } from '../../kit/clock.ts'
import type { Grant } from './queue.ts'
import { exchangeOf } from './rabbitmq-queues.ts'

/** The users of machines on a RabbitMQ server, one for each, kept through its management API. */
export interface RabbitmqUsers {
  /**
   * Makes the user, or gives it a new password, with exactly these rights: it declares nothing. Throws if the server does not
   * answer. Nothing here keeps a user's flood from delaying others: the server keeps all that is for a topic in one line and
   * knows no turns. Nor does it say who sent a message, unless the sender does (`user-id`).
   */
  grant(name: string, password: string, rights: Pick<Grant, 'receive' | 'send'>): Promise<void>
  /** Removes the user, whose connections the server then ends; nothing happens if there is none. */
  revoke(name: string): Promise<void>
}

export interface RabbitmqUsersOptions {
  /** `https://user:password@host:port`: the management API, with the tag `administrator`. */
  management: string
  vhost: string
  random: Random
}

const ANSWER_MS = 5_000
const SALT_BYTES = 4

export function rabbitmqUsers({ management, vhost, random }: RabbitmqUsersOptions): RabbitmqUsers {
  const at = new URL(management)
  const login = `${decodeURIComponent(at.username)}:${decodeURIComponent(at.password)}`
  const authorization = `Basic ${Buffer.from(login).toString('base64')}`
  const base = `${at.origin}${at.pathname.replace(/\/$/, '')}/api`

  async function ask(method: 'PUT' | 'DELETE', path: string[], body?: object): Promise<void> {
    const answer = await fetch(`${base}/${path.map(encodeURIComponent).join('/')}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      signal: AbortSignal.timeout(ANSWER_MS),
      ...(body && { body: JSON.stringify(body) }),
    })
    await answer.arrayBuffer()
    if (answer.ok || (method === 'DELETE' && answer.status === 404)) return
    throw new Error(`the queue's management answered ${answer.status} to ${method} ${path[0]}`)
  }

  return {
    async grant(name, password, { receive, send }) {
      await ask('PUT', ['users', name], { password_hash: hashed(password, random.bytes(SALT_BYTES)), tags: '' })
      const rights = { configure: '^$', write: only(send.map(exchangeOf)), read: only(receive) }
      await ask('PUT', ['permissions', vhost, name], rights)
    },
    revoke: name => ask('DELETE', ['users', name]),
  }
}

/** A pattern that these names match, whole, and no others. */
function only(names: string[]): string {
  const escaped = names.map(name => name.replace(/[^A-Za-z0-9_-]/g, '\\$&'))
  return names.length === 0 ? '^$' : `^(${escaped.join('|')})$`
}

/** As RabbitMQ keeps it (`rabbit_password_hashing_sha256`): the password itself is not sent. */
function hashed(password: string, salt: Uint8Array): string {
  const digest = createHash('sha256').update(salt).update(password).digest()
  return Buffer.concat([salt, digest]).toString('base64')
}
