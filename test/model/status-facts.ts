import { MachineState, ServiceStatus } from '../../lib/contracts/conductor.ts'
import type { Instance } from '../../lib/model/instance.ts'
import { FAILURES, type Failure, NO_TASK, OPERATIONS, type OperationName } from '../../lib/trove/operations.ts'

/** Every task, with the first operation that has it, or the failure that it is. */
const BY_TASK = new Map<string, Pick<Instance, 'operation' | 'failure'>>([
  [NO_TASK.task, {}],
  ...(Object.keys(OPERATIONS) as OperationName[]).map(
    name => [OPERATIONS[name].task, { operation: { id: 'op-1', name } }] as const,
  ),
  ...(Object.keys(FAILURES) as Failure[]).map(failure => [failure, { failure }] as const),
])
/** Every value of each fact that the status depends on. */
export const tasks = [...BY_TASK.keys()]
export const servers = [undefined, ...MachineState.shape.status.options]
export const services = [undefined, ...ServiceStatus.options]

/** The facts that the status depends on. */
export type Facts = Pick<Instance, 'operation' | 'failure' | 'server' | 'agentReport'>
export const facts = (task: string, server: (typeof servers)[number], service?: (typeof services)[number]): Facts => ({
  ...BY_TASK.get(task),
  ...(server && { server: { status: server } }),
  ...(service && { agentReport: { status: service, at: 1_000, sequence: 1 } }),
})
