import { ok, type Route, route } from '../kit/http/route.ts'
import { FlavorAnswer, FlavorList } from '../model/flavor-view.ts'
import type { Platform } from '../platform/platform.ts'
import { listFlavors, showFlavor } from './verbs/read.ts'

export const routes: Route<Platform>[] = [
  route({ method: 'GET', path: '/flavors', summary: 'List flavors', response: ok(FlavorList) }, listFlavors),
  route({ method: 'GET', path: '/flavors/{id}', summary: 'Show a flavor', response: ok(FlavorAnswer) }, showFlavor),
]
