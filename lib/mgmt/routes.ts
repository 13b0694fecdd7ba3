import { z } from 'zod'
import { ActionBody, type Actions, action, dispatchAction } from '../kit/http/actions.ts'
import { ACCEPTED, NO_CONTENT, ok, type Route, route, routeWithBody } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import {
  AnyInstanceAnswer,
  AnyInstanceList,
  AnyInstanceListQuery,
  AnyInstanceQuery,
  DiagnosticsAnswer,
  HardwareAnswer,
  HostAction,
  HostAnswer,
  HostDeleteQuery,
  HostList,
  RootHistoryAnswer,
} from './schemas.ts'
import { deleteHost } from './verbs/delete-host.ts'
import { showDiagnostics } from './verbs/diagnostics.ts'
import { changeHostState } from './verbs/drain-host.ts'
import { showHardware } from './verbs/hardware.ts'
import { listAllInstances } from './verbs/list.ts'
import { listHosts } from './verbs/list-hosts.ts'
import { pingAgent } from './verbs/ping.ts'
import { showAnyInstance } from './verbs/show.ts'
import { showHost } from './verbs/show-host.ts'
import { showRootHistory } from './verbs/show-root.ts'

const PATH = '/mgmt/instances/{id}'
const HOST = '/mgmt/hosts/{host}'
const read = { method: 'GET', audience: 'admin', suffix: true } as const

const hostActions: Actions<Platform> = {
  drain: action(z.strictObject({}), changeHostState('draining')),
  resume: action(z.strictObject({}), changeHostState('active')),
}

export const routes: Route<Platform>[] = [
  route(
    {
      ...read,
      path: '/mgmt/instances',
      summary: 'List the instances of all projects',
      query: AnyInstanceListQuery,
      response: ok(AnyInstanceList),
    },
    listAllInstances,
  ),
  route(
    { ...read, path: PATH, summary: 'Show any instance', query: AnyInstanceQuery, response: ok(AnyInstanceAnswer) },
    showAnyInstance,
  ),
  route(
    {
      ...read,
      path: `${PATH}/root`,
      summary: 'Show when root was enabled, and by whom',
      query: AnyInstanceQuery,
      response: ok(RootHistoryAnswer),
    },
    showRootHistory,
  ),
  route(
    { ...read, path: `${PATH}/hwinfo`, summary: "Show the machine's hardware", response: ok(HardwareAnswer) },
    showHardware,
  ),
  route(
    {
      ...read,
      path: `${PATH}/diagnostics`,
      summary: "Show the database server's memory and threads",
      response: ok(DiagnosticsAnswer),
    },
    showDiagnostics,
  ),
  route(
    { ...read, path: `${PATH}/rpc_ping`, summary: 'Check that the agent answers', response: NO_CONTENT },
    pingAgent,
  ),
  route({ ...read, path: '/mgmt/hosts', summary: 'List the hosts', response: ok(HostList) }, listHosts),
  route({ ...read, path: HOST, summary: 'Show a host with its instances', response: ok(HostAnswer) }, showHost),
  routeWithBody(
    {
      method: 'POST',
      path: `${HOST}/action`,
      audience: 'admin',
      suffix: true,
      summary: 'Let a host get no more instances, or get some again',
      body: ActionBody,
      documentedBody: HostAction,
      example: { drain: {} },
      response: ACCEPTED,
    },
    dispatchAction(hostActions),
  ),
  route(
    {
      method: 'DELETE',
      path: HOST,
      audience: 'admin',
      suffix: true,
      summary: 'Remove a host',
      query: HostDeleteQuery,
      response: ACCEPTED,
    },
    deleteHost,
  ),
]
