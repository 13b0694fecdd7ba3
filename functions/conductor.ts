import { handleReport } from '../lib/conductor/reports.ts'
import { CONDUCTOR_TOPIC } from '../lib/contracts/conductor.ts'
import { queueHandler } from '../lib/kit/rpc/batch.ts'
import { getPlatform } from '../lib/wiring/current.ts'

/** Handles SQS events of the conductor's queue: reports and answers of agents, and reports of host daemons. */
export const handler = queueHandler(CONDUCTOR_TOPIC, getPlatform, handleReport)
