import type { Call, Mutation } from '../../kit/http/route.ts'
import { hosts } from '../../model/host.ts'
import type { Platform } from '../../platform/platform.ts'
import { findHost } from '../host-of-path.ts'

/** `{"drain":{}}`: the host gets no more instances. `{"resume":{}}`: it gets some again. */
export const changeHostState =
  (state: 'draining' | 'active') =>
  async (call: Call<unknown, Platform>): Promise<Mutation> => {
    const item = await findHost(call)
    const changes = item.body.state === state ? [] : [hosts.replace(item, { ...item.body, state })]
    return { reply: { status: 202 }, changes }
  }
