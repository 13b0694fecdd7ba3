import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'
import { PLANS, usageKey } from '../lib/limits/plans.ts'

const projectIn = (path: string) => /^\/v1\.0\/([^/?]+)/.exec(path)?.[1] ?? ''

/**
 * Serves the deployed API at an address of its own: the emulator has it below `/restapis/<id>/<stage>/_user_request_`,
 * which clients would take for a part of every path. Paths go through exactly as they came. The emulator takes a usage plan's
 * key from a header alone, not from the authorizer, as AWS does: it is added here, always the members'.
 */
export async function proxy(options: { host: string; port: number; target: () => string }): Promise<Server> {
  const server = createServer((asked, answer) => {
    const to = new URL(options.target())
    const path = `${to.pathname}${asked.url ?? '/'}`
    const key = usageKey({ project: projectIn(asked.url ?? ''), roles: [] }, PLANS, 'local')
    const headers = { ...asked.headers, host: to.host, 'x-forwarded-host': asked.headers.host ?? '', 'x-api-key': key }
    const passed = request({ hostname: to.hostname, port: to.port, method: asked.method, path, headers }, got => {
      answer.writeHead(got.statusCode ?? 502, got.headers)
      got.pipe(answer)
    })
    passed.on('error', () => {
      if (!answer.headersSent) answer.writeHead(502, { 'Content-Type': 'application/json' })
      answer.end('{"badGateway":{"code":502,"message":"The emulator does not answer."}}')
    })
    asked.pipe(passed)
  })
  server.listen(options.port, options.host)
  await once(server, 'listening')
  return server
}
