import { wireAws } from '../../lib/wiring/aws.ts'

export { handler } from '../taskmanager.ts'

wireAws()
