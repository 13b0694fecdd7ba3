import type { Clock } from '../../../kit/clock.ts'
import type { Logins } from '../../../ports/accounts.ts'
import type { Store } from '../../../ports/store.ts'
import { userIdOf, userRecord, withoutHash } from './accounts.ts'
import { credentialRecord, withoutSecret } from './credentials.ts'
import { limitConcurrency } from './limit-concurrency.ts'
import { loginAttempts } from './login-attempts.ts'
import { isPassword, type PasswordHash } from './passwords.ts'

/** A hash takes a thread and 16 MiB: one of libuv's four threads stays free for files. */
const MAX_CONCURRENT = 3
const MAX_WAITING = 200

/** Checks passwords and secrets against the store; limits guesses for each user, and work for the process. */
export function logins(store: Store, clock: Clock): Logins {
  const attempts = loginAttempts(store, clock)
  const limited = limitConcurrency(MAX_CONCURRENT, MAX_WAITING)

  /** `whom` names the counter: the id if there is one, so that other ways to name a user give no further guesses. */
  const check = async (whom: string, address: string, secret: string, hash?: PasswordHash): Promise<boolean> => {
    const login = { whom, address, exists: hash !== undefined }
    if (await attempts.areTooMany(login)) return false
    const matches = await isPassword(secret, hash)
    if (!matches) await attempts.addFailure(login)
    return matches
  }

  return {
    byPassword: (who, password, address = '') =>
      limited(async () => {
        const record = await userRecord(store, 'id' in who ? who.id : await userIdOf(store, who.name))
        const whom = record?.body.id ?? ('id' in who ? `id ${who.id}` : `name ${who.name}`)
        const matches = await check(whom, address, password, record?.body.password)
        return matches && record?.body.enabled ? withoutHash(record) : undefined
      }),
    bySecret: (which, secret, address = '') =>
      limited(async () => {
        const record = await credentialRecord(store, which)
        const whom = record?.body.id ?? ('id' in which ? `id ${which.id}` : `name ${which.user} ${which.name}`)
        const matches = await check(`credential ${whom}`, address, secret, record?.body.secret)
        const credential = withoutSecret(record)
        const user = credential && withoutHash(await userRecord(store, credential.user))
        return matches && credential && user?.enabled ? { user, credential } : undefined
      }),
  }
}
