import type { Throttle } from '../../ports/throttle.ts'
import { RateLimited } from '../errors.ts'
import type { Middleware, PipelineDeps } from './pipeline.ts'

/** The methods that are limited, each by itself; others are not. */
const LIMITED_METHODS = ['GET', 'POST', 'PUT', 'DELETE']

/**
 * Counts the request against its project's limit for its method. Throws RateLimited (413). Unknown routes count too.
 * `details` words the refusal.
 */
export function throttling<D extends PipelineDeps & { throttle: Throttle }>(
  details: (perMinute: number, method: string) => string,
): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { project, method, deps } = event.state.call
      if (project === '' || !LIMITED_METHODS.includes(method)) return
      const { throttle } = deps
      const { waitMs } = await throttle.take(project, method)
      if (waitMs > 0) throw new RateLimited(413, details(throttle.perMinute, method), waitMs)
    },
  }
}
