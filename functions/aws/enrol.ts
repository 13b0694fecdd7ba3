import { wireAws } from '../../lib/wiring/aws.ts'

export { handler } from '../enrol.ts'

wireAws()
