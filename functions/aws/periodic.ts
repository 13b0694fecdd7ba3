import { wireAwsWithMachines } from '../../lib/wiring/aws-ec2.ts'

export { handler } from '../periodic.ts'

wireAwsWithMachines()
