import { wireAws } from '../../lib/wiring/aws.ts'

export { handler } from '../authorizer.ts'

wireAws()
