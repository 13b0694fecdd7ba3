import middy from '@middy/core'
import type { ScheduledEvent } from 'aws-lambda'
import { pollMachines } from '../lib/conductor/poll-machines.ts'
import { processAllDue } from '../lib/taskmanager/scheduler.ts'
import { getPlatform } from '../lib/wiring/current.ts'

/** Handles scheduled events: processes what is due, then polls the states of machines. */
export const handler = middy<ScheduledEvent, void>().handler(async () => {
  await processAllDue(getPlatform())
  await pollMachines(getPlatform())
})
