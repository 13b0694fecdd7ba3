import { postgresqlManifest } from '../manifest.ts'
import { ADMINISTRATOR_ROLES, ADMINISTRATOR_SETTINGS, administratorAttributes } from '../rules/administrator.ts'
import { identifier } from '../sql/quote.ts'
import type { PostgresqlSessions } from '../sql/sessions.ts'
import { DATABASE_OWNER_ROLE } from './roles.ts'

const ROOT = postgresqlManifest.can.root.user
const role = identifier(ROOT)

/** Whether root can log in as what it is: a superuser, or an administrator. A plain user of that name is neither. */
export const ROOT_IS_ENABLED = `SELECT r.rolsuper AS superuser FROM pg_roles r
  WHERE r.rolname = '${ROOT}' AND r.rolcanlogin AND (r.rolsuper OR EXISTS (SELECT FROM pg_auth_members m
    WHERE m.member = r.oid AND m.roleid = to_regrole('${DATABASE_OWNER_ROLE}')))`

/** The statements that make the existing role root an administrator. */
export const administratorStatements = (major: number) => [
  `ALTER ROLE ${role} ${administratorAttributes(major)}`,
  // Not SET where that can be left out: what it makes is its own.
  `GRANT ${DATABASE_OWNER_ROLE} TO ${role}${major < 16 ? '' : ' WITH INHERIT TRUE, SET FALSE'}`,
  `GRANT ${ADMINISTRATOR_ROLES.join(', ')} TO ${role}`,
  `GRANT SET ON PARAMETER ${ADMINISTRATOR_SETTINGS.join(', ')} TO ${role}`,
  `GRANT CONNECT, TEMPORARY ON DATABASE postgres TO ${role}`,
  // It has the rights of the roles that it creates, as of those that the API creates.
  ...(major < 16 ? [] : [`ALTER ROLE ${role} SET createrole_self_grant = 'set, inherit'`]),
]

// A superuser needs no grants. A role that is a member of root cannot have root as its member.
const ROLES_TO_ADOPT = `SELECT r.rolname::text AS name FROM pg_roles r, pg_roles root
  WHERE root.rolname = '${ROOT}' AND NOT root.rolsuper AND root.rolcanlogin
    AND EXISTS (SELECT FROM pg_auth_members m
      WHERE m.member = root.oid AND m.roleid = to_regrole('${DATABASE_OWNER_ROLE}'))
    AND r.oid >= 16384 AND r.rolname::text <> ALL ($1::text[]) AND NOT r.rolsuper
    AND NOT pg_has_role(r.oid, root.oid, 'MEMBER')
    AND NOT (pg_has_role(root.oid, r.oid, 'USAGE') AND EXISTS (SELECT FROM pg_auth_members m
      WHERE m.member = root.oid AND m.roleid = r.oid AND m.admin_option))`

/** Makes an enabled administrator a member and an admin of each user's role: those that it is not yet. */
export async function adoptUsers(sessions: PostgresqlSessions): Promise<void> {
  const { reserved } = postgresqlManifest.can.users
  const roles = await sessions.query<{ name: string }>(ROLES_TO_ADOPT, [reserved])
  const statements = roles.map(({ name }) => `GRANT ${identifier(name)} TO ${role} WITH ADMIN OPTION`)
  if (statements.length > 0) await sessions.execute('postgres', statements, 'os_maint')
}
