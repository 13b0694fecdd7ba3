import { TASKMANAGER_TOPIC } from '../lib/contracts/taskmanager.ts'
import { sagas } from '../lib/instances/index.ts'
import { queueHandler } from '../lib/kit/rpc/batch.ts'
import { taskHandler } from '../lib/taskmanager/runner.ts'
import { getPlatform } from '../lib/wiring/current.ts'

/** Handles SQS events of the taskmanager's queue: runs the operations that they name. */
export const handler = queueHandler(TASKMANAGER_TOPIC, getPlatform, taskHandler(sagas), { releases: true })
