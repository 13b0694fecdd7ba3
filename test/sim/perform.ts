import type { Mutation, Reply } from '../../lib/kit/http/route.ts'
import { commit } from '../../lib/kit/transaction.ts'
import type { Platform } from '../../lib/platform/platform.ts'

/** Commits what a handler returns, as the API does but without records of the request, and gives its reply. */
export async function perform(platform: Platform, handle: () => Promise<Reply | Mutation>): Promise<Reply> {
  let result: Reply | Mutation | undefined
  await commit(platform, async () => {
    result = await handle()
    return 'reply' in result ? result : {}
  })
  if (!result) throw new Error('nothing was handled')
  if (!('reply' in result)) return result
  return (await result.afterCommit?.()) ?? result.reply
}
