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

/** The user that a path segment names: the host is what follows the last `@`, decoded. */
export function userId(segment: string): { name: string; host?: string } {
  const at = segment.lastIndexOf('@')
  return at > 0 ? { name: segment.slice(0, at), host: segment.slice(at + 1) } : { name: segment }
}
