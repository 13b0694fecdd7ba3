/** The agent's roles: the limited one for daily work, and the superuser that makes it. */
export type Role = 'os_admin' | 'os_maint'

interface OurSetting {
  name: string
  value: string
  /** Only a superuser may set it, and roles to which that is granted. */
  isPrivileged?: true
  /** For sessions of this role only. */
  role?: Role
  /** The first major version that has it, or needs it. */
  since?: number
  /** The first major version that does not need it. */
  until?: number
}

/**
 * What each session of the agent sets for itself: a tenant's superuser can impose other values by ALTER DATABASE and
 * ALTER ROLE, which remain when root is disabled. The last line of a name counts.
 */
const OUR_SETTINGS: OurSetting[] = [
  // A tenant's schema must not stand in for the catalogue, nor its role, library or trigger do our work.
  { name: 'search_path', value: 'pg_catalog,pg_temp' },
  { name: 'role', value: 'none' },
  { name: 'row_security', value: 'on' },
  { name: 'local_preload_libraries', value: '' },
  { name: 'session_preload_libraries', value: '', isPrivileged: true },
  { name: 'session_replication_role', value: 'origin', isPrivileged: true },
  // Before 17 only triggers that are not set to fire always can be held back.
  { name: 'session_replication_role', value: 'replica', isPrivileged: true, role: 'os_maint', until: 17 },
  { name: 'event_triggers', value: 'off', isPrivileged: true, role: 'os_maint', since: 17 },
  // A statement ends by our limits only, and an idle session by ourselves.
  { name: 'statement_timeout', value: '300000' },
  { name: 'lock_timeout', value: '30000' },
  { name: 'transaction_timeout', value: '0', since: 17 },
  { name: 'idle_session_timeout', value: '0' },
  { name: 'idle_in_transaction_session_timeout', value: '0' },
  { name: 'exit_on_error', value: 'off' },
  { name: 'temp_file_limit', value: '-1', isPrivileged: true },
  // A statement does what it says, and is on the disk once it is done.
  { name: 'default_transaction_read_only', value: 'off' },
  { name: 'default_transaction_isolation', value: 'read committed' },
  { name: 'default_transaction_deferrable', value: 'off' },
  { name: 'synchronous_commit', value: 'on' },
  { name: 'createrole_self_grant', value: '', since: 16 },
  { name: 'standard_conforming_strings', value: 'on' },
  { name: 'transform_null_equals', value: 'off' },
  // Its text, with the hash of a password, is in no view and no log.
  { name: 'track_activities', value: 'off', isPrivileged: true },
  { name: 'log_statement', value: 'none', isPrivileged: true },
  { name: 'log_min_duration_statement', value: '-1', isPrivileged: true },
  { name: 'log_min_error_statement', value: 'panic', isPrivileged: true },
  { name: 'debug_print_parse', value: 'off' },
  { name: 'debug_print_rewritten', value: 'off' },
  { name: 'debug_print_plan', value: 'off' },
]

const settingsOf = (role: Role, major: number) =>
  OUR_SETTINGS.filter(
    setting => (setting.role ?? role) === role && (setting.since ?? 0) <= major && major < (setting.until ?? Infinity),
  )

/** The options of a session of that role on a server of that major version, as a client's startup message has them. */
export const sessionOptions = (role: Role, major: number) =>
  settingsOf(role, major)
    .map(({ name, value }) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
    .join(' ')

/** The statement that lets the limited role set what its sessions set. */
export const grantSettings = (major: number) => {
  const names = settingsOf('os_admin', major).flatMap(({ name, isPrivileged }) => (isPrivileged ? [name] : []))
  return `GRANT SET ON PARAMETER ${names.join(', ')} TO os_admin`
}
