import { z } from 'zod'
import { command } from '../../kit/rpc/contract.ts'
import { NoResult } from './shared.ts'

/** Methods of datastores that can limit from where they are reached. */
export const accessMethods = {
  /** Sets the IPv4 networks from which the database can be reached. An empty list means everywhere. */
  update_access: command(z.object({ allowed_cidrs: z.array(z.string()) }), NoResult),
}
