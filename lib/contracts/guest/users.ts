import { z } from 'zod'
import { secret } from '../../kit/crypto/secret.ts'
import { DatabaseName } from './databases.ts'

/** A user to create. */
export const UserSpec = z.object({
  name: z.string(),
  password: secret(z.string()),
  host: z.string().optional(),
  databases: z.array(DatabaseName).default([]),
})
export type UserSpec = z.infer<typeof UserSpec>

/** A user as listed, without the password. */
export const UserView = z.object({ name: z.string(), host: z.string(), databases: z.array(DatabaseName) })
export type UserView = z.infer<typeof UserView>

/** A reference to a user. Without a host it means any host. */
export const UserId = z.object({ name: z.string(), host: z.string().optional() })

/**
 * Parses the id of a user. The host follows the last `@`; if that is not a host (`isHost`), it is part of the name, so
 * that an e-mail address can be a name.
 */
export function userId(id: string, isHost: (host: string) => boolean): { name: string; host?: string } {
  const separator = id.lastIndexOf('@')
  const host = id.slice(separator + 1)
  return separator > 0 && isHost(host) ? { name: id.slice(0, separator), host } : { name: id }
}
