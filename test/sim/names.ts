export {
  CONDUCTOR_TOPIC,
  guestSubject,
  guestTopic,
  hostSubject,
  hostTopic,
  type MachineState,
} from '../../lib/contracts/conductor.ts'
export const HOST_ID = 'local'
