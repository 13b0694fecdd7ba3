import { MachineState, ServiceStatus } from '../../lib/contracts/conductor.ts'
import type { Instance, Task } from '../../lib/model/instance.ts'

// A record, so that the compiler demands each new task here.
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
/** Every value of each fact that the status depends on. */
export const tasks = Object.keys(TASKS).filter((task): task is Task => task in TASKS)
export const servers = [undefined, ...MachineState.shape.status.options]
export const services = [undefined, ...ServiceStatus.options]

/** The facts that the status depends on. */
export type Facts = Pick<Instance, 'task' | 'server' | 'agentReport'>
export const facts = (task: Task, server: (typeof servers)[number], service?: (typeof services)[number]): Facts => ({
  task,
  ...(server && { server: { status: server } }),
  ...(service && { agentReport: { status: service, at: 1_000, sequence: 1 } }),
})
