import { z } from 'zod'
import { secret } from '../../kit/crypto/secret.ts'
import { command, query } from '../../kit/rpc/contract.ts'
import { NoResult } from './shared.ts'

/** Methods of datastores that give the tenant a superuser. */
export const rootMethods = {
  /** The API generates the password, so that no secret travels back. */
  enable_root_with_password: command(z.object({ root_password: secret(z.string()) }), NoResult),
  disable_root: command(z.object({}), NoResult),
  is_root_enabled: query(z.object({}), z.boolean()),
}
