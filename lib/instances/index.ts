import { createInstance } from './create.ts'
import { deleteInstance } from './delete.ts'
import { instances } from './instance.ts'
import { routes } from './routes.ts'

/** What functions/ need of instances: the routes, and the sagas by their taskmanager method. */
export { instances, routes }
export const sagas = { create_instance: createInstance, delete_instance: deleteInstance }
