import { stopSharedCloud } from './shared-cloud.ts'

export default stopSharedCloud
