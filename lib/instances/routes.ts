import { bodied, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { ActionBody, act, actions, mgmtActions } from './actions.ts'
import { requestCreate } from './create.ts'
import { CreateBody } from './create-body.ts'
import { requestDelete } from './delete.ts'
import { listInstances, showInstance } from './show.ts'
import { PatchBody, PutBody, updateInstance } from './update.ts'
import { detail, summary } from './view.ts'

export const routes: Route<Platform>[] = [
  route({ method: 'GET', path: '/instances', summary: 'List instances' }, listInstances(summary)),
  route({ method: 'GET', path: '/instances/detail', summary: 'List instances with details' }, listInstances(detail)),
  bodied({ method: 'POST', path: '/instances', summary: 'Create an instance', body: CreateBody }, requestCreate),
  route({ method: 'GET', path: '/instances/{id}', summary: 'Show an instance' }, showInstance),
  route({ method: 'DELETE', path: '/instances/{id}', summary: 'Delete an instance' }, requestDelete),
  bodied(
    {
      method: 'POST',
      path: '/instances/{id}/action',
      summary: 'Act on an instance',
      body: ActionBody,
    },
    act(actions),
  ),
  bodied(
    {
      method: 'POST',
      path: '/mgmt/instances/{id}/action',
      audience: 'admin',
      summary: 'Act on an instance, as its operator',
      body: ActionBody,
    },
    act(mgmtActions),
  ),
  bodied(
    { method: 'PUT', path: '/instances/{id}', summary: 'Change name, version or access', body: PutBody },
    updateInstance,
  ),
  bodied(
    { method: 'PATCH', path: '/instances/{id}', summary: 'Change name or version', body: PatchBody },
    updateInstance,
  ),
]
