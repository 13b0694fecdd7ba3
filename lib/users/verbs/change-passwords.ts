import { z } from 'zod'
import { openForChange } from '../../agents/open-instance.ts'
import type { UserView } from '../../contracts/guest/users.ts'
import { assertFitsRecord } from '../../kit/http/parse.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { assertUserName, NewPasswords } from '../../model/user.ts'
import type { Platform } from '../../platform/platform.ts'
import { requireUser } from '../user-of-path.ts'

export const PasswordsBody = z.object({ users: NewPasswords }).transform(({ users }) => users)

/** `PUT …/users`. */
export async function changePasswords(call: Call<z.infer<typeof PasswordsBody>, Platform>): Promise<Mutation> {
  assertFitsRecord(call.body)
  const { agent, manifest, pending } = await openForChange(call, 'users', 'change_passwords')
  const users = []
  // A user that the body names many times is looked up once: each lookup takes its time.
  const cache = new Map<string, UserView>()
  for (const { name, host, password } of call.body) {
    assertUserName(manifest.can.users, name, '%')
    const id = { name, ...(host && host !== '%' && { host }) }
    const key = `${id.host ?? ''} ${name}`
    const user = cache.get(key) ?? requireUser(id, await pending.user(id))
    cache.set(key, user)
    users.push({ name: user.name, host: user.host, password })
  }
  return { reply: { status: 202 }, ...(users.length > 0 && (await agent.change_passwords({ users }))) }
}
