import { z } from 'zod'
import { ok, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { buildDocument } from './document.ts'

/** `GET /openapi.json`. The document is built on the first request; `servers` is the base URL of each request. */
export const routes = (allRoutes: () => Route<Platform>[]): Route<Platform>[] => {
  let cached: string | undefined
  return [
    route(
      {
        method: 'GET',
        path: '/openapi.json',
        audience: 'anyone',
        summary: 'Show this document',
        response: { ...ok(z.looseObject({ openapi: z.string() })), type: 'application/json' },
      },
      async ({ baseUrl }) => {
        cached ??= JSON.stringify(buildDocument(allRoutes())).slice(1)
        const text = `{"servers":${JSON.stringify([{ url: baseUrl }])},${cached}`
        return { status: 200, text, headers: { 'Content-Type': 'application/json' } }
      },
    ),
  ]
}
