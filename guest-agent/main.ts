import { DRIVERS } from '../lib/datastores/drivers.ts'
import { runAgent } from './run.ts'

await runAgent(DRIVERS)
