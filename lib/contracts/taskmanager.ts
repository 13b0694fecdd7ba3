import { z } from 'zod'
import { cast, contract } from '../kit/rpc/contract.ts'

/** The operation to run. What it does is in the store. */
const Operation = z.object({ project: z.string(), instance_id: z.string(), operation_id: z.string() })

/** Messages to the taskmanager, with ids only. Each method runs the saga of its name. */
export const taskmanager = contract('taskmanager', {
  create_instance: cast(Operation),
  delete_instance: cast(Operation),
  restart: cast(Operation),
  reboot: cast(Operation),
  stop_db: cast(Operation),
  resize_volume: cast(Operation),
  resize_flavor: cast(Operation),
  upgrade: cast(Operation),
  rebuild: cast(Operation),
  update_access: cast(Operation),
})
export type TaskmanagerMethods = (typeof taskmanager)['methods']

/** A message on the taskmanager's queue. */
export const Task = z.object({ method: z.string(), input: z.unknown(), requestId: z.string() })
export type Task = z.infer<typeof Task>

/** The topic of the taskmanager. */
export const TASKMANAGER_TOPIC = 'taskmanager'
