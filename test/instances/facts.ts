import { MachineFacts, ServiceStatus } from '../../lib/contracts/conductor.ts'
import type { Instance, Task } from '../../lib/instances/instance.ts'

// A record, so that the compiler asks for each new task here.
const TASKS: Record<Task, true> = {
  NONE: true,
  BUILDING: true,
  DELETING: true,
  REBOOTING: true,
  RESIZING: true,
  UPGRADING: true,
  UPDATING: true,
  BUILDING_ERROR_VOLUME: true,
  BUILDING_ERROR_SERVER: true,
  BUILDING_ERROR_TIMEOUT_GA: true,
}
export const tasks = Object.keys(TASKS).filter((task): task is Task => task in TASKS)
export const servers = [undefined, ...MachineFacts.shape.status.options]
export const services = [undefined, ...ServiceStatus.options]

export type Facts = Pick<Instance, 'task' | 'server' | 'service'>
export const facts = (task: Task, server: (typeof servers)[number], service?: (typeof services)[number]): Facts => ({
  task,
  ...(server && { server: { status: server } }),
  ...(service && { service: { status: service, at: 1_000, sent: 1 } }),
})
