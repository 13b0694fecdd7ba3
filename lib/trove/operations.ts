/** How Trove shows an instance while an operation runs on it. */
export interface OperationInfo {
  /** The instance's task, as messages name it. */
  task: string
  /** The instance's status; missing if the operation does not change it. */
  status?: string
  /** The task as admins see it. */
  text: string
}

const BUILDING = { task: 'BUILDING', status: 'BUILD', text: 'The instance is building.' }
const REBOOTING = { task: 'REBOOTING', status: 'REBOOT', text: 'Rebooting the instance.' }
const RESIZING = { task: 'RESIZING', status: 'RESIZE', text: 'Resizing the instance.' }
/** Also what is shown for an operation that only a newer version knows. */
export const UPDATING: OperationInfo = { task: 'UPDATING', text: 'Updating the instance.' }

/** Every operation of the taskmanager: its message, and what an instance shows while it runs. */
export const OPERATIONS = {
  create_instance: BUILDING,
  delete_instance: { task: 'DELETING', status: 'SHUTDOWN', text: 'Deleting the instance.' },
  restart: REBOOTING,
  reboot: REBOOTING,
  stop_db: UPDATING,
  resize_volume: RESIZING,
  resize_flavor: RESIZING,
  upgrade: { task: 'UPGRADING', status: 'UPGRADE', text: 'Upgrading the instance.' },
  rebuild: BUILDING,
  update_access: UPDATING,
} satisfies Record<string, OperationInfo>
export type OperationName = keyof typeof OPERATIONS

/** The tasks of an instance on which an operation failed: its status is ERROR until it is reset or deleted. */
export const FAILURES = {
  BUILDING_ERROR_VOLUME: 'Build error: Volume.',
  BUILDING_ERROR_SERVER: 'Build error: Server.',
  BUILDING_ERROR_TIMEOUT_GA: 'Build error: guestagent timeout.',
}
export type Failure = keyof typeof FAILURES

/** The task of an instance on which nothing is being done. */
export const NO_TASK: OperationInfo = { task: 'NONE', text: 'No tasks for the instance.' }

/** The statuses of operations. The use of the volume is not shown meanwhile. */
export const OPERATION_STATUSES: ReadonlySet<string> = new Set(
  Object.values<OperationInfo>(OPERATIONS).flatMap(({ status }) => status ?? []),
)
