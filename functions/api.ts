import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import { auditRecorder } from '../lib/audit/audit.ts'
import { routes as audit } from '../lib/audit/routes.ts'
import { routes as datastores } from '../lib/catalog/routes.ts'
import { routes as databases } from '../lib/databases/routes.ts'
import { routes as flavors } from '../lib/flavors/routes.ts'
import { routes as instances, sagas } from '../lib/instances/index.ts'
import { auditRefusals, mutations } from '../lib/kit/http/mutation.ts'
import {
  type ApiEvent,
  accessLog,
  eagerReads,
  faultResponses,
  matchRoute,
  negotiation,
  projectCheck,
  requestId,
  runHandler,
  schemaCheck,
  timeoutFault,
} from '../lib/kit/http/pipeline.ts'
import { type Route, router } from '../lib/kit/http/route.ts'
import { throttling } from '../lib/kit/http/throttling.ts'
import type { Saga } from '../lib/kit/saga/saga.ts'
import { routes as limits } from '../lib/limits/routes.ts'
import { routes as mgmt } from '../lib/mgmt/routes.ts'
import { routes as openapi } from '../lib/openapi/routes.ts'
import { routes as operations } from '../lib/operations/routes.ts'
import type { Platform } from '../lib/platform/platform.ts'
import { routes as quotas } from '../lib/quotas/routes.ts'
import { routes as root } from '../lib/root/routes.ts'
import { routes as ssl } from '../lib/tls/routes.ts'
import { faultBody } from '../lib/trove/faults.ts'
import { routes as users } from '../lib/users/routes.ts'
import { routes as versions } from '../lib/versions/routes.ts'
import { getPlatform } from '../lib/wiring/current.ts'

const sagaOf = (name: string): Saga<unknown, Platform> | undefined =>
  Object.values(sagas).find(saga => saga.name === name)

/** Every route of the API. */
export const routes: Route<Platform>[] = [
  ...versions,
  ...instances,
  ...databases,
  ...users,
  ...operations(sagaOf),
  ...flavors,
  ...datastores,
  ...limits,
  ...root,
  ...quotas,
  ...mgmt,
  ...ssl,
  ...audit,
  ...openapi(() => routes),
]

const find = router(routes)

const record = auditRecorder()

/** As Trove words it. */
const rateLimitDetails = (perMinute: number, method: string) =>
  `Only ${perMinute} ${method} request(s) can be made to * every minute.`

/** Handles API Gateway REST proxy events: `/`, and behind the authorizer `/v1.0/{project_id}/…`. */
export const handler = middy<ApiEvent<Platform>, Awaited<ReturnType<typeof runHandler>>, Error, Context>({
  timeoutEarlyResponse: timeoutFault,
})
  .use(accessLog(getPlatform))
  .use(requestId(getPlatform))
  .use(auditRefusals(record))
  .use(faultResponses(faultBody))
  .use(eagerReads())
  .use(negotiation(find))
  .use(projectCheck())
  .use(throttling(rateLimitDetails))
  .use(matchRoute(find))
  .use(schemaCheck())
  .use(mutations(record))
  .handler(runHandler)
