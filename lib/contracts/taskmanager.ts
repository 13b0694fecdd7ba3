import { z } from 'zod'
import { type Cast, cast, contract } from '../kit/rpc/contract.ts'
import { OPERATIONS, type OperationName } from '../trove/operations.ts'

/** The operation to run. What it does is in the store. */
export const OperationMessage = z.object({
  project: z.string(),
  operation_id: z.string(),
  /** For taskmanagers of earlier versions, which need it: the id of what the operation works on. */
  instance_id: z.string().optional(),
})

const casts = Object.keys(OPERATIONS).map(name => [name, cast(OperationMessage)])

/** Messages to the taskmanager, with ids only: one for each operation, which runs the saga of that name. */
export const taskmanager = contract(
  'taskmanager',
  Object.fromEntries(casts) as Record<OperationName, Cast<typeof OperationMessage>>,
)
export type TaskmanagerMethods = (typeof taskmanager)['methods']

/** A message on the taskmanager's queue. */
export const Task = z.object({ method: z.string(), input: z.unknown(), requestId: z.string() })
export type Task = z.infer<typeof Task>

/** The topic of the taskmanager. */
export const TASKMANAGER_TOPIC = 'taskmanager'
