import { type Call, ok, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { Health, VersionAnswer, VersionList } from './schemas.ts'

const version = ({ base }: Pick<Call, 'base'>) => ({
  id: 'v1.0',
  status: 'CURRENT',
  updated: '2012-08-01T00:00:00Z',
  links: [{ rel: 'self', href: `${base}/v1.0/` }],
})

/** What is served without a project; the paths are whole. */
export const routes: Route<Platform>[] = [
  route(
    { method: 'GET', path: '/', audience: 'anyone', summary: 'List versions', answers: ok(VersionList) },
    async call => ({
      status: 200,
      body: { versions: [version(call)] },
    }),
  ),
  route(
    { method: 'GET', path: '/v1.0/', audience: 'anyone', summary: 'Show the version', answers: ok(VersionAnswer) },
    async call => ({
      status: 200,
      body: { version: version(call) },
    }),
  ),
  route(
    { method: 'GET', path: '/healthz', audience: 'anyone', summary: 'Whether the store answers', answers: ok(Health) },
    async call => {
      await call.deps.store.get({ project: '*', id: 'health#1' })
      return { status: 200, body: { status: 'ok' } }
    },
  ),
]
