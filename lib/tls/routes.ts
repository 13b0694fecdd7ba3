import { z } from 'zod'
import { ok, type Route, route, routeWithBody } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { SslAnswer, SslChanged, SslQuery } from './schemas.ts'
import { ChangeBody, changeTls } from './verbs/change.ts'
import { showTls } from './verbs/show.ts'

const EXAMPLE = { ssl: { enable: true, mode: 'enforced' } }
const PEM = { status: 200, body: z.string(), type: 'application/x-pem-file' }

export const routes: Route<Platform>[] = [
  route(
    {
      method: 'GET',
      path: '/instances/{id}/ssl',
      summary: "Show an instance's TLS",
      query: SslQuery,
      response: ok(SslAnswer),
    },
    showTls,
  ),
  routeWithBody(
    {
      method: 'POST',
      path: '/instances/{id}/ssl',
      summary: "Change an instance's TLS",
      body: ChangeBody,
      response: ok(SslChanged),
      example: EXAMPLE,
    },
    changeTls,
  ),
  route(
    { method: 'GET', path: '/ca.pem', audience: 'anyone', summary: 'Show the CA to trust', response: PEM },
    async call => ({
      status: 200,
      text: await call.deps.authority.bundle(),
      headers: { 'Content-Type': 'application/x-pem-file' },
    }),
  ),
]
