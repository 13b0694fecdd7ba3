import { NO_CONTENT, ok, type Route, route, routeWithBody } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { RootEnabled, RootUser } from './schemas.ts'
import { disableRoot } from './verbs/disable.ts'
import { EnableBody, enableRoot } from './verbs/enable.ts'
import { showRoot } from './verbs/show.ts'

const PATH = '/instances/{id}/root'

export const routes: Route<Platform>[] = [
  route(
    { method: 'GET', path: PATH, suffix: true, summary: 'Show whether root is enabled', response: ok(RootEnabled) },
    showRoot,
  ),
  routeWithBody(
    {
      method: 'POST',
      path: PATH,
      suffix: true,
      summary: 'Enable root',
      body: EnableBody,
      optionalBody: true,
      response: ok(RootUser),
    },
    enableRoot,
  ),
  route({ method: 'DELETE', path: PATH, suffix: true, summary: 'Disable root', response: NO_CONTENT }, disableRoot),
]
