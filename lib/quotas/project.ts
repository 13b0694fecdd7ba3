import { notFound, truncate } from '../kit/errors.ts'
import type { Call } from '../kit/http/route.ts'

/** The path's project. Only the identity service knows which projects exist. Throws 404 if the id is malformed. */
export function projectInPath({ params }: Call): string {
  const id = params['project'] ?? ''
  if (!/^[\w.-]{1,64}$/.test(id)) throw notFound(`Project ${truncate(id)} cannot be found.`)
  return id
}
