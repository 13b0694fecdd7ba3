import type { OperationSagas } from '../taskmanager/runner.ts'
import { routes } from './routes.ts'
import { updateAccess } from './verbs/access.ts'
import { createInstance } from './verbs/create.ts'
import { deleteInstance } from './verbs/delete.ts'
import { reboot } from './verbs/reboot.ts'
import { rebuild } from './verbs/rebuild.ts'
import { resizeFlavor } from './verbs/resize-flavor.ts'
import { resizeVolume } from './verbs/resize-volume.ts'
import { restart } from './verbs/restart.ts'
import { stopDb } from './verbs/stop.ts'
import { upgrade } from './verbs/upgrade.ts'

export { routes }

/** The saga of each method of the taskmanager. */
export const sagas = {
  create_instance: createInstance,
  delete_instance: deleteInstance,
  restart,
  reboot,
  stop_db: stopDb,
  resize_volume: resizeVolume,
  resize_flavor: resizeFlavor,
  upgrade,
  rebuild,
  update_access: updateAccess,
} satisfies OperationSagas
