import { memoryThrottle } from '../../../../lib/platform/throttle/memory/throttle.ts'
import { throttleCases } from '../../../cases/throttle.ts'

throttleCases('the throttle in memory', memoryThrottle)
