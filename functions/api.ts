import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import { recorder } from '../lib/audit/audit.ts'
import { routes as audit } from '../lib/audit/routes.ts'
import { routes as databases } from '../lib/databases/routes.ts'
import { routes as datastores } from '../lib/datastores/routes.ts'
import { routes as flavors } from '../lib/flavors/routes.ts'
import { routes as instances, sagas } from '../lib/instances/index.ts'
import {
  type ApiEvent,
  faults,
  handled,
  logged,
  negotiation,
  outOfTime,
  projectCheck,
  requestId,
  routing,
  schemaCheck,
} from '../lib/kit/http/pipeline.ts'
import { type Route, router } from '../lib/kit/http/route.ts'
import { safely, watched } from '../lib/kit/http/safe.ts'
import type { Saga } from '../lib/kit/saga/saga.ts'
import { throttling } from '../lib/kit/throttle/middleware.ts'
import { routes as limits } from '../lib/limits/routes.ts'
import { routes as mgmt } from '../lib/mgmt/routes.ts'
import { routes as openapi } from '../lib/openapi/routes.ts'
import { routes as operations } from '../lib/operations/routes.ts'
import type { Platform } from '../lib/platform/platform.ts'
import { routes as quotas } from '../lib/quotas/routes.ts'
import { routes as root } from '../lib/root/routes.ts'
import { routes as ssl } from '../lib/ssl/routes.ts'
import { routes as users } from '../lib/users/routes.ts'
import { routes as versions } from '../lib/versions/routes.ts'
import { wired } from '../lib/wiring/current.ts'

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

const record = recorder()

/** API Gateway REST proxy events: `/`, and behind the authorizer `/v1.0/{project_id}/…`. */
export const handler = middy<ApiEvent<Platform>, Awaited<ReturnType<typeof handled>>, Error, Context>({
  timeoutEarlyResponse: outOfTime,
})
  .use(logged(wired))
  .use(requestId(wired))
  .use(watched(record))
  .use(faults())
  .use(negotiation(find))
  .use(projectCheck())
  .use(throttling())
  .use(routing(find))
  .use(schemaCheck())
  .use(safely(record))
  .handler(event => handled(event))
