import { hostSubject } from '../../lib/contracts/conductor.ts'

export {
  CONDUCTOR_TOPIC,
  guestSubject,
  guestTopic,
  hostTopic,
  type MachineState,
} from '../../lib/contracts/conductor.ts'
export const HOST_ID = 'sim'
export const HOST = hostSubject(HOST_ID)
