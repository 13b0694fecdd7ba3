import type { RootVerbs } from '../../driver.ts'
import { postgresqlManifest } from '../manifest.ts'
import { checkPassword } from '../rules/checks.ts'
import { existingRoles } from '../sql/queries.ts'
import { endSessions, identifier, literal } from '../sql/quote.ts'
import type { VerbContext } from './users.ts'

const ROOT = postgresqlManifest.can.root.user
const role = identifier(ROOT)

/** The verbs of the tenant's superuser. The agent's superuser is another role, so disabling this one harms nothing. */
export function rootVerbs({ sessions, verifier }: VerbContext): RootVerbs {
  const exists = async () => (await existingRoles(sessions, [ROOT])).has(ROOT)
  return {
    async enable_root_with_password({ root_password: password }) {
      checkPassword(password)
      const secret = literal(await verifier(password))
      // Also resets what the tenant may have changed: a connection limit, an end of validity.
      const attributes = `SUPERUSER LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD ${secret}`
      await sessions.execute(
        'postgres',
        [`${(await exists()) ? 'ALTER' : 'CREATE'} ROLE ${role} ${attributes}`],
        'os_maint',
      )
    },

    async disable_root() {
      if (!(await exists())) return
      // Not a superuser either: its SECURITY DEFINER functions would still run as one.
      const disable = `ALTER ROLE ${role} NOLOGIN NOSUPERUSER PASSWORD NULL`
      await sessions.execute('postgres', [disable, ...endSessions(ROOT)], 'os_maint')
    },

    async is_root_enabled() {
      const text = 'SELECT FROM pg_roles WHERE rolname::text = $1 AND rolcanlogin AND rolsuper'
      return (await sessions.query(text, [ROOT])).length > 0
    },
  }
}
