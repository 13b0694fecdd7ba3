import { ACCEPTED, bodied, ok, type Route, route } from '../kit/http/route.ts'
import { PageQuery } from '../kit/http/schemas.ts'
import type { Platform } from '../platform/platform.ts'
import { ActionBody, act, actions, mgmtActions, shownActions } from './actions.ts'
import { showConfiguration } from './configuration.ts'
import { requestCreate } from './create.ts'
import { CreateBody } from './create-body.ts'
import { requestDelete } from './delete.ts'
import { ConfigurationAnswer, InstanceAnswer, InstanceDetails, InstanceList } from './schemas.ts'
import { listInstances, showInstance } from './show.ts'
import { PatchBody, PutBody, updateInstance } from './update.ts'
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
    { method: 'GET', path: '/instances', summary: 'List instances', query: PageQuery, answers: ok(InstanceList) },
    listInstances(summary),
  ),
  route(
    {
      method: 'GET',
      path: '/instances/detail',
      summary: 'List instances with details',
      query: PageQuery,
      answers: ok(InstanceDetails),
    },
    listInstances(detail),
  ),
  bodied(
    {
      method: 'POST',
      path: '/instances',
      summary: 'Create an instance',
      body: CreateBody,
      answers: ok(InstanceAnswer),
      example: EXAMPLES.create,
    },
    requestCreate,
  ),
  route(
    { method: 'GET', path: '/instances/{id}', summary: 'Show an instance', answers: ok(InstanceAnswer) },
    showInstance,
  ),
  route({ method: 'DELETE', path: '/instances/{id}', summary: 'Delete an instance', answers: ACCEPTED }, requestDelete),
  bodied(
    {
      method: 'POST',
      path: '/instances/{id}/action',
      summary: 'Act on an instance',
      shownBody: shownActions(actions),
      answers: ACCEPTED,
      example: EXAMPLES.act,
      body: ActionBody,
    },
    act(actions),
  ),
  bodied(
    {
      method: 'POST',
      path: '/mgmt/instances/{id}/action',
      suffix: true,
      audience: 'admin',
      summary: 'Act on an instance, as its operator',
      shownBody: shownActions(mgmtActions),
      answers: ACCEPTED,
      example: EXAMPLES.operate,
      body: ActionBody,
    },
    act(mgmtActions),
  ),
  bodied(
    {
      method: 'PUT',
      path: '/instances/{id}',
      summary: 'Change name, version or access',
      body: PutBody,
      answers: ACCEPTED,
      example: EXAMPLES.put,
    },
    updateInstance,
  ),
  bodied(
    {
      method: 'PATCH',
      path: '/instances/{id}',
      summary: 'Change name or version',
      body: PatchBody,
      answers: ACCEPTED,
      example: EXAMPLES.rename,
    },
    updateInstance,
  ),
  route(
    {
      method: 'GET',
      path: '/instances/{id}/configuration',
      summary: "Show the engine's default settings",
      answers: ok(ConfigurationAnswer),
    },
    showConfiguration,
  ),
]
