import { RateLimited } from '../errors.ts'
import type { Middleware, PipelineDeps } from '../http/pipeline.ts'
import { LIMITED, type Throttle } from './throttle.ts'

/** Counts the request against its project's limit of its verb. Throws RateLimited (413). Unknown routes count, as in Trove. */
export function throttling<D extends PipelineDeps & { throttle: Throttle }>(): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { project, method, deps } = event.trip.call
      if (project === '' || !LIMITED.includes(method)) return
      const { throttle } = deps
      const { waitMs } = await throttle.take(project, method)
      if (waitMs === 0) return
      const many = `Only ${throttle.perMinute} ${method} request(s) can be made to * every minute.`
      throw new RateLimited(413, many, waitMs)
    },
  }
}
