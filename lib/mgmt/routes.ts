import { NO_CONTENT, ok, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import {
  AnyInstanceAnswer,
  AnyInstanceList,
  AnyInstanceListQuery,
  AnyInstanceQuery,
  DiagnosticsAnswer,
  HardwareAnswer,
  RootHistoryAnswer,
} from './schemas.ts'
import { showDiagnostics } from './verbs/diagnostics.ts'
import { showHardware } from './verbs/hardware.ts'
import { listAllInstances } from './verbs/list.ts'
import { pingAgent } from './verbs/ping.ts'
import { showAnyInstance } from './verbs/show.ts'
import { showRootHistory } from './verbs/show-root.ts'

const PATH = '/mgmt/instances/{id}'
const read = { method: 'GET', audience: 'admin', suffix: true } as const

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
]
