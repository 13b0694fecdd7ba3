import type { RootMode, RootVerbs } from '../../driver.ts'
import { postgresqlManifest } from '../manifest.ts'
import { checkPassword } from '../rules/checks.ts'
import { existingRoles } from '../sql/queries.ts'
import { endSessions, identifier, literal } from '../sql/quote.ts'
import { administratorStatements, adoptUsers, ROOT_IS_ENABLED } from './administrator.ts'
import type { VerbContext } from './users.ts'

const ROOT = postgresqlManifest.can.root.user
const role = identifier(ROOT)

interface RootContext extends VerbContext {
  /** What root is to be, and on which major version: both may change with a restart. */
  mode(): RootMode
  major(): Promise<number>
}

/** The verbs of the tenant's root user. The agent's superuser is another role, so disabling this one harms nothing. */
export function rootVerbs({ sessions, verifier, mode, major }: RootContext): RootVerbs {
  const exists = async () => (await existingRoles(sessions, [ROOT])).has(ROOT)
  return {
    async enable_root_with_password({ root_password: password }) {
      checkPassword(password)
      const secret = literal(await verifier(password))
      // Also resets what the tenant may have changed: a connection limit, an end of validity.
      const login = `LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD ${secret}`
      const verb = (await exists()) ? 'ALTER' : 'CREATE'
      const rest = mode() === 'superuser' ? [`ALTER ROLE ${role} SUPERUSER`] : administratorStatements(await major())
      // One text is one transaction.
      await sessions.execute('postgres', [[`${verb} ROLE ${role} ${login}`, ...rest].join('; ')], 'os_maint')
      await adoptUsers(sessions)
    },

    async disable_root() {
      if (!(await exists())) return
      // Not a superuser either: its SECURITY DEFINER functions would still run as one.
      const disable = `ALTER ROLE ${role} NOLOGIN NOSUPERUSER PASSWORD NULL`
      await sessions.execute('postgres', [disable, ...endSessions(ROOT)], 'os_maint')
    },

    async is_root_enabled() {
      return (await sessions.query(ROOT_IS_ENABLED)).length > 0
    },
  }
}
