import type { Driver } from '../driver.ts'
import { takenRoles } from './catalog.ts'
import { checkPassword } from './checks.ts'
import { postgresql } from './manifest.ts'
import { endSessions, identifier, literal } from './sql.ts'
import type { Tools } from './users.ts'

type Verbs = Pick<Driver, 'enable_root_with_password' | 'disable_root' | 'is_root_enabled'>

const ROOT = postgresql.rootUser
const role = identifier(ROOT)

/** The verbs of the tenant's superuser. The agent's own is another role, so that disabling this one costs nothing. */
export function rootVerbs({ sessions, verifier }: Tools): Verbs {
  const exists = async () => (await takenRoles(sessions, [ROOT])).has(ROOT)
  return {
    async enable_root_with_password(password) {
      checkPassword(password)
      const secret = literal(await verifier(password))
      // Whatever the tenant made of it meanwhile (a limit, an end of validity) is undone.
      const able = `SUPERUSER LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD ${secret}`
      await sessions.tell('postgres', [`${(await exists()) ? 'ALTER' : 'CREATE'} ROLE ${role} ${able}`], 'os_maint')
    },

    async disable_root() {
      if (!(await exists())) return
      // No superuser either: a function that it made to run as its owner must not stay as mighty.
      const unable = `ALTER ROLE ${role} NOLOGIN NOSUPERUSER PASSWORD NULL`
      await sessions.tell('postgres', [unable, ...endSessions(ROOT)], 'os_maint')
    },

    async is_root_enabled() {
      const text = 'SELECT FROM pg_roles WHERE rolname::text = $1 AND rolcanlogin AND rolsuper'
      return (await sessions.ask(text, [ROOT])).length > 0
    },
  }
}
