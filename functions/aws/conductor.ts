import { wireAws } from '../../lib/wiring/aws.ts'

export { handler } from '../conductor.ts'

wireAws()
