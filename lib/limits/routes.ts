import { ok, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { LimitList } from './schemas.ts'
import { listLimits } from './verbs/list.ts'

export const routes: Route<Platform>[] = [
  route({ method: 'GET', path: '/limits', summary: 'List limits', response: ok(LimitList) }, listLimits),
]
