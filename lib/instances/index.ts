import { updateAccess } from './access.ts'
import { createInstance } from './create.ts'
import { deleteInstance } from './delete.ts'
import { instances } from './instance.ts'
import { reboot } from './reboot.ts'
import { rebuild } from './rebuild.ts'
import { resizeFlavor } from './resize-flavor.ts'
import { resizeVolume } from './resize-volume.ts'
import { restart } from './restart.ts'
import { routes } from './routes.ts'
import { stopDb } from './stop.ts'
import { upgrade } from './upgrade.ts'

/** What functions/ need of instances: the routes, and the sagas by their taskmanager method. */
export { instances, routes }
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
}
