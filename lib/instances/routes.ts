import { ActionBody, actionSchema, dispatchAction } from '../kit/http/actions.ts'
import { ACCEPTED, ok, type Route, route, routeWithBody } from '../kit/http/route.ts'
import { PageQuery } from '../kit/http/schemas.ts'
import type { Platform } from '../platform/platform.ts'
import { actions, mgmtActions } from './actions.ts'
import { ConfigurationAnswer, InstanceAnswer, InstanceDetails, InstanceList } from './schemas.ts'
import { PatchBody, PutBody, requestUpdate } from './update.ts'
import { CreateBody, requestCreate } from './verbs/create.ts'
import { requestDelete } from './verbs/delete.ts'
import { listInstances, showInstance } from './verbs/read.ts'
import { showConfiguration } from './verbs/show-configuration.ts'
import { detail, summary } from './view.ts'

const EXAMPLES = {
  create: {
    instance: {
      name: 'shop',
      flavorRef: 1,
      volume: { size: 1 },
      datastore: { type: 'postgresql', version: '18' },
      databases: [{ name: 'cart' }],
      users: [{ name: 'ann', password: 'secret1', databases: [{ name: 'cart' }] }],
    },
  },
  act: { resize: { volume: { size: 2 } } },
  operate: { stop: {} },
  put: { instance: { access: { is_public: true, allowed_cidrs: ['10.0.0.0/8'] } } },
  rename: { instance: { name: 'store' } },
}

export const routes: Route<Platform>[] = [
  route(
    { method: 'GET', path: '/instances', summary: 'List instances', query: PageQuery, response: ok(InstanceList) },
    listInstances(summary),
  ),
  route(
    {
      method: 'GET',
      path: '/instances/detail',
      summary: 'List instances with details',
      query: PageQuery,
      response: ok(InstanceDetails),
    },
    listInstances(detail),
  ),
  routeWithBody(
    {
      method: 'POST',
      path: '/instances',
      summary: 'Create an instance',
      body: CreateBody,
      response: ok(InstanceAnswer),
      example: EXAMPLES.create,
    },
    requestCreate,
  ),
  route(
    { method: 'GET', path: '/instances/{id}', summary: 'Show an instance', response: ok(InstanceAnswer) },
    showInstance,
  ),
  route(
    { method: 'DELETE', path: '/instances/{id}', summary: 'Delete an instance', response: ACCEPTED },
    requestDelete,
  ),
  routeWithBody(
    {
      method: 'POST',
      path: '/instances/{id}/action',
      summary: 'Act on an instance',
      documentedBody: actionSchema(actions),
      response: ACCEPTED,
      example: EXAMPLES.act,
      body: ActionBody,
    },
    dispatchAction(actions),
  ),
  routeWithBody(
    {
      method: 'POST',
      path: '/mgmt/instances/{id}/action',
      suffix: true,
      audience: 'admin',
      summary: 'Act on an instance, as its operator',
      documentedBody: actionSchema(mgmtActions),
      response: ACCEPTED,
      example: EXAMPLES.operate,
      body: ActionBody,
    },
    dispatchAction(mgmtActions),
  ),
  routeWithBody(
    {
      method: 'PUT',
      path: '/instances/{id}',
      summary: 'Change name, version or access',
      body: PutBody,
      response: ACCEPTED,
      example: EXAMPLES.put,
    },
    requestUpdate,
  ),
  routeWithBody(
    {
      method: 'PATCH',
      path: '/instances/{id}',
      summary: 'Change name or version',
      body: PatchBody,
      response: ACCEPTED,
      example: EXAMPLES.rename,
    },
    requestUpdate,
  ),
  route(
    {
      method: 'GET',
      path: '/instances/{id}/configuration',
      summary: "Show the engine's default settings",
      response: ok(ConfigurationAnswer),
    },
    showConfiguration,
  ),
]
