import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'
import { PLANS, usageKey } from '../lib/limits/plans.ts'

const projectIn = (path: string) => /^\/v1\.0\/([^/?]+)/.exec(path)?.[1] ?? ''

/**
 * Serves the deployed API at an address of its own: the emulator has it below
 * `/restapis/<id>/<stage>/_user_request_`, which clients would take for a part of every path. Paths are passed on
 * exactly as they came. AWS takes a usage plan's key from the authorizer, the emulator from a header only: the proxy
 * adds that header, always with a member's key.
 */
export async function proxy(options: { host: string; port: number; target: () => string }): Promise<Server> {
  const server = createServer((incoming, response) => {
    const target = new URL(options.target())
    const path = `${target.pathname}${incoming.url ?? '/'}`
    const key = usageKey({ project: projectIn(incoming.url ?? ''), roles: [] }, PLANS, 'local')
    const forwarded = { 'x-forwarded-host': incoming.headers.host ?? '', 'x-api-key': key }
    const headers = { ...incoming.headers, host: target.host, ...forwarded }
    const { hostname, port } = target
    const outgoing = request({ hostname, port, method: incoming.method, path, headers }, upstream => {
      response.writeHead(upstream.statusCode ?? 502, upstream.headers)
      upstream.pipe(response)
    })
    outgoing.on('error', () => {
      if (!response.headersSent) response.writeHead(502, { 'Content-Type': 'application/json' })
      response.end('{"badGateway":{"code":502,"message":"The emulator does not answer."}}')
    })
    incoming.pipe(outgoing)
  })
  server.listen(options.port, options.host)
  await once(server, 'listening')
  return server
}
