import type { Server } from 'node:http'
import { codeOf } from '../lib/kit/errors.ts'
import { reasonOf } from './data-dir.ts'
import { StartupError } from './options.ts'

/** The port a server listens on; `requested` may be 0, for one that the system chooses. */
export function listeningPort(server: Server | undefined, requested: number): number {
  const address = server?.address()
  return typeof address === 'object' && address ? address.port : requested
}

/** `http://HOST:PORT`, with the brackets that IPv6 needs. */
export const httpUrl = (host: string, port: number) => `http://${host.includes(':') ? `[${host}]` : host}:${port}`

/** Where processes on this machine reach a server that listens on that host. */
export const localUrl = (host: string, port: number) =>
  httpUrl(host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host, port)

/** Starts a server, and explains in one line why it cannot listen. Throws StartupError. */
export async function listen<T>(host: string, port: number, start: () => Promise<T>): Promise<T> {
  try {
    return await start()
  } catch (error) {
    const reason = codeOf(error) === 'EADDRINUSE' ? 'is taken' : `cannot be used (${reasonOf(error)})`
    throw new StartupError(`port ${port} on ${host} ${reason}; choose another with --port`)
  }
}
