import { z } from 'zod'
import { cast, contract } from '../kit/contract.ts'

/** Which operation to take forward; what is to be done stands in the store. */
const Operation = z.object({ project: z.string(), instance_id: z.string(), operation_id: z.string() })

/** To the taskmanager: ids only. A method takes the saga of its name forward. */
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

export const TASKMANAGER_TOPIC = 'taskmanager'
