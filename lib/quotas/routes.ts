import { ok, type Route, route, routeWithBody } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { QuotaChange, QuotaLimits, QuotaList } from './schemas.ts'
import { showQuotas } from './verbs/show.ts'
import { UpdateBody, updateQuotas } from './verbs/update.ts'

const PATH = '/mgmt/quotas/{project}'

export const routes: Route<Platform>[] = [
  route(
    { method: 'GET', path: PATH, suffix: true, summary: "Show a project's quotas", response: ok(QuotaList) },
    showQuotas,
  ),
  routeWithBody(
    {
      method: 'PUT',
      path: PATH,
      audience: 'admin',
      suffix: true,
      summary: "Change a project's limits",
      body: UpdateBody,
      documentedBody: QuotaChange,
      response: ok(QuotaLimits),
      example: { quotas: { instances: 20 } },
    },
    updateQuotas,
  ),
]
