import { z } from 'zod'
import { contract } from '../../kit/rpc/contract.ts'
import { RefusalCode, Words } from '../conductor.ts'
import { accessMethods } from './access.ts'
import { coreMethods } from './core.ts'
import { databaseMethods } from './databases.ts'
import { rootMethods } from './root.ts'
import { tlsMethods } from './tls.ts'
import { userMethods } from './users.ts'

/** The methods that a datastore has only with a capability, by capability. */
export const capabilityMethods = {
  databases: databaseMethods,
  users: userMethods,
  root: rootMethods,
  tls: tlsMethods,
  access: accessMethods,
}
type CapabilityMethods = typeof capabilityMethods

/** A capability of a datastore that has methods. */
export type GuestCapability = keyof CapabilityMethods
/** The methods of a capability. */
export type CapabilityMethod<K extends GuestCapability> = K extends GuestCapability
  ? keyof CapabilityMethods[K] & string
  : never

/** Sealed messages to the agent of an instance, on its own topic. The names are Trove's. */
export const guest = contract('guest', {
  ...coreMethods,
  ...databaseMethods,
  ...userMethods,
  ...rootMethods,
  ...tlsMethods,
  ...accessMethods,
})
export type GuestMethods = (typeof guest)['methods']

/** The decrypted payload of a message to an agent. */
export const GuestMessage = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('query'), method: z.string(), input: z.unknown(), requestId: z.string() }),
  z.object({
    kind: z.literal('command'),
    number: z.int().min(1),
    method: z.string(),
    input: z.unknown(),
    requestId: z.string(),
    /** The agent counts the command as done without executing it. */
    cancelled: z.boolean().optional(),
  }),
])
export type GuestMessage = z.infer<typeof GuestMessage>

/** The decrypted payload of an agent's answer to a query. */
export const GuestAnswer = z.union([
  z.object({ result: z.unknown() }),
  z.object({ refused: z.object({ code: RefusalCode, message: Words }) }),
  z.object({ failed: Words }),
])
export type GuestAnswer = z.infer<typeof GuestAnswer>
