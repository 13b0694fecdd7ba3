import { wireAws } from '../../lib/wiring/aws.ts'

export { handler } from '../api.ts'

wireAws()
