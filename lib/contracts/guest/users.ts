import { z } from 'zod'
import { secret } from '../../kit/crypto/secret.ts'
import { command, query } from '../../kit/rpc/contract.ts'
import { DatabaseName } from './databases.ts'
import { NoResult, PageRequest, pageOf } from './shared.ts'

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

/** Methods of datastores that have users. */
export const userMethods = {
  create_user: command(z.object({ users: z.array(UserSpec) }), NoResult),
  delete_user: command(UserId, NoResult),
  get_user: query(UserId, UserView.nullable()),
  list_users: query(PageRequest, pageOf(UserView)),
  change_passwords: command(z.object({ users: z.array(UserId.extend({ password: secret(z.string()) })) }), NoResult),
  update_attributes: command(
    UserId.extend({
      attributes: z.object({
        name: z.string().optional(),
        password: secret(z.string()).optional(),
        host: z.string().optional(),
      }),
    }),
    NoResult,
  ),
  list_access: query(UserId, z.array(DatabaseName)),
  grant_access: command(UserId.extend({ databases: z.array(z.string()) }), NoResult),
  revoke_access: command(UserId.extend({ database: z.string() }), NoResult),
}

/**
 * Parses the id of a user. The host follows the last `@`; if that is not a host (`isHost`), it is part of the name, so
 * that an e-mail address can be a name.
 */
export function userId(id: string, isHost: (host: string) => boolean): { name: string; host?: string } {
  const separator = id.lastIndexOf('@')
  const host = id.slice(separator + 1)
  return separator > 0 && isHost(host) ? { name: id.slice(0, separator), host } : { name: id }
}
