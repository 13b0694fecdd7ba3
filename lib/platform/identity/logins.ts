import type { Logins } from '../../identity/account.ts'
import type { Clock } from '../../kit/clock.ts'
import type { Store } from '../store/store.ts'
import { shown, userIdOf, userRecord } from './accounts.ts'
import { attempts } from './attempts.ts'
import { credentialRecord, shownCredential } from './credentials.ts'
import { gate } from './gate.ts'
import { isPassword, type PasswordHash } from './passwords.ts'

/** Hashing takes a thread and 16 MiB: one of libuv's four threads stays free for files. */
const AT_ONCE = 3
const MOST_WAITING = 200

/** Checks passwords and secrets against the store, bounding guesses for each user and work for the process. */
export function logins(store: Store, clock: Clock): Logins {
  const tries = attempts(store, clock)
  const enter = gate(AT_ONCE, MOST_WAITING)

  /** `whom` names the counter: the id where there is one, so that other ways to name a user do not give more guesses. */
  const check = async (whom: string, secret: string, stored: PasswordHash | undefined): Promise<boolean> => {
    const done = await tries.begin(whom)
    if (!done) return false
    const right = await isPassword(secret, stored)
    await done(right)
    return right
  }

  return {
    byPassword: (who, password) =>
      enter(async () => {
        const record = await userRecord(store, 'id' in who ? who.id : await userIdOf(store, who.name))
        const whom = record?.body.id ?? ('id' in who ? `id ${who.id}` : `name ${who.name}`)
        const right = await check(whom, password, record?.body.password)
        return right && record?.body.enabled ? shown(record) : undefined
      }),
    bySecret: (which, secret) =>
      enter(async () => {
        const record = await credentialRecord(store, which)
        const whom = record?.body.id ?? ('id' in which ? `id ${which.id}` : `name ${which.user} ${which.name}`)
        const right = await check(`credential ${whom}`, secret, record?.body.secret)
        const credential = shownCredential(record)
        const user = credential && shown(await userRecord(store, credential.user))
        return right && credential && user?.enabled ? { user, credential } : undefined
      }),
  }
}
