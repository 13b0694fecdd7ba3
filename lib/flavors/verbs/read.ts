import { notFound, truncate } from '../../kit/errors.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { FLAVORS, flavorById } from '../../model/flavor.ts'
import { flavorView } from '../../model/flavor-view.ts'

/** `GET /flavors`. */
export async function listFlavors(call: Call): Promise<Reply> {
  return { status: 200, body: { flavors: FLAVORS.map(flavor => flavorView(flavor, call)) } }
}

/** `GET /flavors/{id}`. */
export async function showFlavor(call: Call): Promise<Reply> {
  const id = call.params['id'] ?? ''
  const flavor = flavorById(id)
  if (!flavor) throw notFound(`Flavor ${truncate(id)} cannot be found.`)
  return { status: 200, body: { flavor: flavorView(flavor, call) } }
}
