import { cut, notFound } from '../kit/errors.ts'
import { ok, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { FLAVORS, flavorById } from './flavor.ts'
import { FlavorAnswer, FlavorList } from './schemas.ts'
import { flavorView } from './view.ts'

export const routes: Route<Platform>[] = [
  route({ method: 'GET', path: '/flavors', summary: 'List flavors', answers: ok(FlavorList) }, async call => ({
    status: 200,
    body: { flavors: FLAVORS.map(flavor => flavorView(flavor, call)) },
  })),
  route({ method: 'GET', path: '/flavors/{id}', summary: 'Show a flavor', answers: ok(FlavorAnswer) }, async call => {
    const flavor = flavorById(call.params['id'] ?? '')
    if (!flavor) throw notFound(`Flavor ${cut(call.params['id'] ?? '')} cannot be found.`)
    return { status: 200, body: { flavor: flavorView(flavor, call) } }
  }),
]
