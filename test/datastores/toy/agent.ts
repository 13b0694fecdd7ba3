import { runAgent } from '../../../guest-agent/run.ts'
import { toyDriver } from './driver.ts'

/** The agent of machines that run toys. */
await runAgent({ toy: toyDriver })
