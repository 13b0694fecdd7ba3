import { wireAws } from '../../lib/wiring/aws.ts'

export { handler } from '../identity.ts'

wireAws()
