import middy from '@middy/core'
import type { ScheduledEvent } from 'aws-lambda'
import { pollMachines } from '../lib/conductor/poll-machines.ts'
import { rotateKeys } from '../lib/taskmanager/key-rotation.ts'
import { processAllDue } from '../lib/taskmanager/scheduler.ts'
import { getPlatform } from '../lib/wiring/current.ts'

/** Handles scheduled events: processes what is due, polls the states of machines, and moves records to a new master key. */
export const handler = middy<ScheduledEvent, void>().handler(async () => {
  await processAllDue(getPlatform())
  await pollMachines(getPlatform())
  await rotateKeys(getPlatform())
})
