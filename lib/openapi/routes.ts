import { z } from 'zod'
import { ok, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { documentOf } from './document.ts'

/** `GET /openapi.json`. The document is made once, when it is first asked for; `servers` is the request's own base. */
export const routes = (all: () => Route<Platform>[]): Route<Platform>[] => {
  let rest: string | undefined
  return [
    route(
      {
        method: 'GET',
        path: '/openapi.json',
        audience: 'anyone',
        summary: 'This document',
        answers: { ...ok(z.looseObject({ openapi: z.string() })), type: 'application/json' },
      },
      async ({ base }) => {
        rest ??= JSON.stringify(documentOf(all())).slice(1)
        const text = `{"servers":${JSON.stringify([{ url: base }])},${rest}`
        return { status: 200, text, headers: { 'Content-Type': 'application/json' } }
      },
    ),
  ]
}
