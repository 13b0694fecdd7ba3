import type { ServiceStatus } from '../contracts/conductor.ts'
import { elapsedMs } from '../kit/clock.ts'
import type { MachineState } from '../ports/compute.ts'
import { type Instance, isBusyOrBroken, taskOf } from './instance.ts'

/**
 * An agent that has not reported for longer shows as ERROR; nothing is stored. An agent whose lease is longer than a
 * minute has proportionally more time.
 */
export const HEARTBEAT_EXPIRY_MS = 150_000
const MINUTE_MS = 60_000

const BY_SERVER: Record<MachineState['status'], string> = {
  ACTIVE: 'ACTIVE',
  BUILD: 'BUILD',
  ERROR: 'ERROR',
  SHUTDOWN: 'SHUTDOWN',
  GONE: 'SHUTDOWN',
}

/** The states of a server that belong to a status of an operation; in any other state the status is ERROR. */
const EXPECTED_SERVER: Record<string, MachineState['status'][]> = {
  BUILD: ['BUILD', 'ACTIVE', 'SHUTDOWN', 'GONE'],
  SHUTDOWN: ['ACTIVE', 'SHUTDOWN', 'GONE'],
}

/** The status that the API shows. */
export function statusOf(instance: Pick<Instance, 'operation' | 'failure' | 'server'>): string {
  const { server } = instance
  const { status } = taskOf(instance)
  if (status === undefined) return server ? BY_SERVER[server.status] : 'SHUTDOWN'
  const expected = EXPECTED_SERVER[status]
  return server && expected && !expected.includes(server.status) ? 'ERROR' : status
}

const BY_SERVICE: Record<ServiceStatus, string> = {
  new: 'NEW',
  building: 'BUILD',
  running: 'ACTIVE',
  healthy: 'HEALTHY',
  shutdown: 'SHUTDOWN',
  crashed: 'SHUTDOWN',
  failed: 'FAILED',
  restarting: 'RESTARTING',
}

/** The agent's status while no task runs and the server is active, otherwise empty. ERROR after missing heartbeats. */
export function operatingStatusOf(
  instance: Pick<Instance, 'operation' | 'failure' | 'server' | 'agentReport'>,
  now: number,
): string {
  const { server, agentReport } = instance
  if (isBusyOrBroken(instance) || server?.status !== 'ACTIVE') return ''
  // The agent has not reported since the status was reset: ERROR, as in Trove.
  if (!agentReport) return 'ERROR'
  const expiry = (HEARTBEAT_EXPIRY_MS * Math.max(agentReport.lease ?? 0, MINUTE_MS)) / MINUTE_MS
  return elapsedMs(now, agentReport.at) > expiry ? 'ERROR' : BY_SERVICE[agentReport.status]
}

/** The status in the agent's last report, in Trove's words, whatever the state of the server. */
export const serviceStatusOf = ({ agentReport }: Pick<Instance, 'agentReport'>): string =>
  BY_SERVICE[agentReport?.status ?? 'new']
