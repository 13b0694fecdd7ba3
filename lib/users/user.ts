import { z } from 'zod'
import { DatabaseName } from '../databases/database.ts'
import { secret } from '../kit/secret.ts'

/** A user to be made. */
export const UserSpec = z.object({
  name: z.string(),
  password: secret(z.string()),
  host: z.string().optional(),
  databases: z.array(DatabaseName).default([]),
})
export type UserSpec = z.infer<typeof UserSpec>

/** A user as shown: never its password. */
export const UserView = z.object({ name: z.string(), host: z.string(), databases: z.array(DatabaseName) })
export type UserView = z.infer<typeof UserView>

/** Whom a message means; a missing host means any. */
export const UserId = z.object({ name: z.string(), host: z.string().optional() })

/**
 * The user that an id names: the host is what follows the last `@`. Where that is no host (`isHost`), it is part of the
 * name, so that an address of e-mail is an id by itself.
 */
export function userId(id: string, isHost: (host: string) => boolean): { name: string; host?: string } {
  const at = id.lastIndexOf('@')
  const host = id.slice(at + 1)
  return at > 0 && isHost(host) ? { name: id.slice(0, at), host } : { name: id }
}
