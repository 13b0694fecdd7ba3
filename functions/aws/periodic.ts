import { wireAws } from '../../lib/wiring/aws.ts'

export { handler } from '../periodic.ts'

wireAws()
