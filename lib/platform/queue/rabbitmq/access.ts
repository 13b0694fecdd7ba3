import { createHash } from 'node:crypto'
import type { Random } from '../../../kit/clock.ts'
import type { Grant } from '../../../ports/queue.ts'
import { exchangeOf } from './topology.ts'

/** Manages the machines' users on a RabbitMQ server, one for each machine, through its management API. */
export interface RabbitmqUsers {
  /**
   * Creates the user, or gives it a new password, with exactly these rights; it may declare nothing. Throws if the
   * server does not answer. A user that floods a topic delays the others: the server has one line for each topic and no
   * fairness. Nor does the server record who sent a message, unless the sender does (`user-id`).
   */
  grant(name: string, password: string, rights: Pick<Grant, 'receive' | 'send'>): Promise<void>
  /** Removes the user, whose connections the server then closes; nothing happens if there is none. */
  revoke(name: string): Promise<void>
}

interface RabbitmqUsersOptions {
  /** `https://user:password@host:port`: the management API, with the tag `administrator`. */
  management: string
  vhost: string
  random: Random
}

const ANSWER_MS = 5_000
const SALT_BYTES = 4

export function rabbitmqUsers({ management, vhost, random }: RabbitmqUsersOptions): RabbitmqUsers {
  const url = new URL(management)
  const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  const authorization = `Basic ${Buffer.from(login).toString('base64')}`
  const base = `${url.origin}${url.pathname.replace(/\/$/, '')}/api`

  async function request(method: 'PUT' | 'DELETE', path: string[], body?: object): Promise<void> {
    const response = await fetch(`${base}/${path.map(encodeURIComponent).join('/')}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      signal: AbortSignal.timeout(ANSWER_MS),
      ...(body && { body: JSON.stringify(body) }),
    })
    await response.arrayBuffer()
    if (response.ok || (method === 'DELETE' && response.status === 404)) return
    throw new Error(`the queue's management answered ${response.status} to ${method} ${path[0]}`)
  }

  return {
    async grant(name, password, { receive, send }) {
      await request('PUT', ['users', name], {
        password_hash: hashPassword(password, random.bytes(SALT_BYTES)),
        tags: '',
      })
      const rights = { configure: '^$', write: exactly(send.map(exchangeOf)), read: exactly(receive) }
      await request('PUT', ['permissions', vhost, name], rights)
    },
    revoke: name => request('DELETE', ['users', name]),
  }
}

/** A pattern that matches exactly these names. */
function exactly(names: string[]): string {
  const escaped = names.map(name => name.replace(/[^A-Za-z0-9_-]/g, '\\$&'))
  return names.length === 0 ? '^$' : `^(${escaped.join('|')})$`
}

/** The hash as RabbitMQ stores it (`rabbit_password_hashing_sha256`): the password itself is not sent. */
function hashPassword(password: string, salt: Uint8Array): string {
  const digest = createHash('sha256').update(salt).update(password).digest()
  return Buffer.concat([salt, digest]).toString('base64')
}
