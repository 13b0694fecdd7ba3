import { Fault, STORE_FULL } from '../kit/errors.ts'
import { type Call, ok, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { Health, VersionAnswer, VersionList } from './schemas.ts'

const versionView = ({ baseUrl }: Pick<Call, 'baseUrl'>) => ({
  id: 'v1.0',
  status: 'CURRENT',
  updated: '2012-08-01T00:00:00Z',
  links: [{ rel: 'self', href: `${baseUrl}/v1.0/` }],
})

/** Served without a project: these paths begin at the root. */
export const routes: Route<Platform>[] = [
  route(
    { method: 'GET', path: '/', audience: 'anyone', summary: 'List versions', response: ok(VersionList) },
    async call => ({
      status: 200,
      body: { versions: [versionView(call)] },
    }),
  ),
  route(
    { method: 'GET', path: '/v1.0/', audience: 'anyone', summary: 'Show the version', response: ok(VersionAnswer) },
    async call => ({
      status: 200,
      body: { version: versionView(call) },
    }),
  ),
  route(
    {
      method: 'GET',
      path: '/healthz',
      audience: 'anyone',
      summary: 'Check that the store answers and has space',
      response: ok(Health),
    },
    async call => {
      const { store } = call.deps
      await store.get({ project: '*', id: 'health#1' })
      if (store.space?.().isShort) throw new Fault(503, STORE_FULL)
      return { status: 200, body: { status: 'ok' } }
    },
  ),
]
