import type { Clock, Random } from '../../../kit/clock.ts'
import type { IdentityService } from '../../../ports/accounts.ts'
import type { Identity } from '../../../ports/identity.ts'
import type { Secrets } from '../../../ports/secrets.ts'
import type { Store } from '../../../ports/store.ts'
import { accounts } from './accounts.ts'
import { appCredentials } from './credentials.ts'
import { logins } from './logins.ts'
import { signedTokens } from './tokens.ts'

const HOUR = 3_600_000

interface BuiltinParts {
  store: Store
  secrets: Secrets
  clock: Clock
  random: Random
  /** How long a token is valid, in milliseconds, rounded down to seconds; 8 hours by default. */
  lifetimeMs?: number
}

/** Accounts in the store and signed tokens, served over HTTP by `lib/keystone`. */
export function builtinIdentity(parts: BuiltinParts): Identity & IdentityService {
  const { store, clock, random, lifetimeMs = 8 * HOUR } = parts
  const tokens = signedTokens({ ...parts, lifetime: lifetimeMs })
  return {
    tokens,
    accounts: accounts(store, random),
    credentials: appCredentials(store, random),
    logins: logins(store, clock),
    async verify(token) {
      const claims = await tokens.read(token)
      if (!claims?.project) return undefined
      const { user, project, roles, expires } = claims
      return { user, project, roles, expires }
    },
  }
}
