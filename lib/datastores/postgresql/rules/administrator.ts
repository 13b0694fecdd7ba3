/** Settings that the administrator may set, though they are a superuser's. None names a file, a library or a program. */
export const ADMINISTRATOR_SETTINGS = [
  'commit_delay',
  'compute_query_id',
  'deadlock_timeout',
  'session_replication_role',
  'temp_file_limit',
  'track_functions',
  'track_io_timing',
  'track_wal_io_timing',
  'wal_compression',
]

/** Predefined roles that the administrator is a member of: they see statistics and settings, and change nothing. */
export const ADMINISTRATOR_ROLES = ['pg_read_all_stats', 'pg_read_all_settings', 'pg_stat_scan_tables']

/** Extensions that the engine's own control files trust. Checked as the others. */
const TRUSTED_BY_ENGINE = [
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'dict_int',
  'fuzzystrmatch',
  'hstore',
  'intarray',
  'isn',
  'lo',
  'ltree',
  'pg_trgm',
  'pgcrypto',
  'seg',
  'tablefunc',
  'tcn',
  'tsm_system_rows',
  'tsm_system_time',
  'unaccent',
  'uuid-ossp',
]

/**
 * Extensions that are made trusted in our copies of engines, from their version `from` on. Checked: none runs a program,
 * reads a file that its user names, or opens a connection, and their scripts look nothing up in a tenant's schema, which
 * `earthdistance` did before 1.2. What shows a server's inside is granted to `pg_stat_scan_tables` by their scripts.
 */
export const TRUSTED_EXTENSIONS = [
  { name: 'autoinc', from: 1 },
  { name: 'bloom', from: 1 },
  { name: 'dict_xsyn', from: 1 },
  { name: 'earthdistance', from: 1.2 },
  { name: 'insert_username', from: 1 },
  { name: 'moddatetime', from: 1 },
  { name: 'pg_freespacemap', from: 1.2 },
  { name: 'pg_prewarm', from: 1.2 },
  { name: 'pg_visibility', from: 1.2 },
  { name: 'pgrowlocks', from: 1.2 },
  { name: 'pgstattuple', from: 1.5 },
  { name: 'sslinfo', from: 1.2 },
]

/** Every extension that the administrator can install: so can whoever may create in a database. */
export const administratorExtensions = (major: number): string[] => [
  ...TRUSTED_BY_ENGINE,
  ...TRUSTED_EXTENSIONS.map(({ name }) => name).filter(name => name !== 'earthdistance' || major >= 16),
]

/**
 * What the role has. Before 16 CREATEROLE grants every role, that which runs programs included, so there is none: roles
 * are made through the API.
 */
export const administratorAttributes = (major: number) =>
  `NOSUPERUSER CREATEDB ${major < 16 ? 'NO' : ''}CREATEROLE INHERIT NOREPLICATION NOBYPASSRLS`
