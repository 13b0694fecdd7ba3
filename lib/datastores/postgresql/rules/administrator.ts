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

/**
 * Extensions of the engine that its own control files trust: whoever may create in a database installs them there. They
 * were checked: none runs a program, reads a file or opens a connection.
 */
export const ADMINISTRATOR_EXTENSIONS = [
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
 * What the role has. Before 16 CREATEROLE grants every role, that which runs programs included, so there is none: roles
 * are made through the API.
 */
export const administratorAttributes = (major: number) =>
  `NOSUPERUSER CREATEDB ${major < 16 ? 'NO' : ''}CREATEROLE INHERIT NOREPLICATION NOBYPASSRLS`
