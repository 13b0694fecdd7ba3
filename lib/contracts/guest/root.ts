import { z } from 'zod'
import { secret } from '../../kit/crypto/secret.ts'
import { command, query } from '../../kit/rpc/contract.ts'
import { NoResult } from './shared.ts'

/** What the root user is: a superuser of the database server, or an administrator who can do less. */
export const RootMode = z.enum(['administrator', 'superuser'])
export type RootMode = z.infer<typeof RootMode>

/** Methods of datastores that have a root user. */
export const rootMethods = {
  /** The API generates the password, so that no secret travels back. */
  enable_root_with_password: command(z.object({ root_password: secret(z.string()) }), NoResult),
  disable_root: command(z.object({}), NoResult),
  is_root_enabled: query(z.object({}), z.boolean()),
}
