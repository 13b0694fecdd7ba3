import { ADMINISTRATOR_ROLES, ADMINISTRATOR_SETTINGS } from '../rules/administrator.ts'

/** A query of which each row is a statement that takes away something that a superuser of the tenant may have left. */
type Remains = string

const list = (names: string[]) => names.map(name => `'${name}'`).join(', ')

const OUR_NAMES = ['os_maint', 'os_admin', 'os_former', 'os_owner']

const GRANTEE = `CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END`

/** What our roles have and are members of: a superuser can change that too. */
const OUR_ATTRIBUTES = `NOREPLICATION NOBYPASSRLS NOSUPERUSER`
const OUR_ROLES: Remains = `
  SELECT format('ALTER ROLE %I ${OUR_ATTRIBUTES} NOLOGIN NOCREATEROLE NOCREATEDB PASSWORD NULL', rolname) AS statement
  FROM pg_roles WHERE rolname IN ('os_former', 'os_owner')
    AND (rolsuper OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
  UNION ALL
  SELECT 'ALTER ROLE os_admin ${OUR_ATTRIBUTES} LOGIN CREATEROLE CREATEDB'
  FROM pg_roles WHERE rolname = 'os_admin'
    AND NOT (rolcanlogin AND rolcreaterole AND rolcreatedb AND NOT rolsuper AND NOT rolreplication AND NOT rolbypassrls)`

/** A superuser's rights of other roles. */
const ATTRIBUTES = (major: number): Remains => `
  SELECT format('ALTER ROLE %I NOSUPERUSER NOREPLICATION NOBYPASSRLS', rolname)
    || CASE WHEN ${major < 16} THEN ' NOCREATEROLE' ELSE '' END
    || CASE WHEN rolname = 'postgres' AND rolsuper THEN ' NOLOGIN' ELSE '' END AS statement
  FROM pg_roles
  WHERE oid >= 16384 AND rolname NOT IN (${list(OUR_NAMES)})
    AND (rolsuper OR rolreplication OR rolbypassrls OR ${major < 16} AND rolcreaterole)`

/** Memberships in our roles, in predefined ones and in root, but those that we have granted. */
const MEMBERSHIPS = (major: number): Remains => `
  SELECT format('REVOKE %I FROM %I', g.rolname, u.rolname)
    || CASE WHEN ${major >= 16} THEN format(' GRANTED BY %I', by.rolname) ELSE '' END || ' CASCADE' AS statement
  FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
    LEFT JOIN pg_roles by ON by.oid = m.grantor
  WHERE u.oid >= 16384 AND (g.oid < 16384 OR g.rolname IN (${list([...OUR_NAMES, 'root'])}))
    AND NOT (u.rolname = 'root' AND g.rolname IN (${list([...ADMINISTRATOR_ROLES, 'os_owner'])}) AND NOT m.admin_option)
    AND NOT (u.rolname = 'os_admin'
      AND g.rolname IN ('pg_signal_backend', 'pg_use_reserved_connections', 'os_owner'))`

/** Rights to set what only a superuser sets. */
const PARAMETERS: Remains = `
  SELECT DISTINCT format('REVOKE ALL ON PARAMETER %I FROM %s CASCADE', p.parname, ${GRANTEE}) AS statement
  FROM pg_parameter_acl p, aclexplode(p.paracl) a
  WHERE a.grantee <> 10 AND a.grantee <> to_regrole('os_admin')
    AND NOT (pg_get_userbyid(a.grantee) = 'root' AND a.privilege_type = 'SET' AND NOT a.is_grantable
      AND p.parname IN (${list(ADMINISTRATOR_SETTINGS)}))`

/** Settings of databases and roles that only a superuser sets, and those of languages that run a text when loaded. */
const SETTINGS: Remains = `
  SELECT CASE
      WHEN s.setrole = 0 AND s.setdatabase = 0 THEN format('ALTER ROLE ALL RESET %I', n.name)
      WHEN s.setrole = 0 THEN format('ALTER DATABASE %I RESET %I', d.datname, n.name)
      WHEN s.setdatabase = 0 THEN format('ALTER ROLE %I RESET %I', r.rolname, n.name)
      ELSE format('ALTER ROLE %I IN DATABASE %I RESET %I', r.rolname, d.datname, n.name) END AS statement
  FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole,
    unnest(s.setconfig) line, LATERAL (SELECT split_part(line, '=', 1) AS name) n
    LEFT JOIN pg_settings g ON g.name = n.name
  WHERE n.name NOT IN (${list(ADMINISTRATOR_SETTINGS)})
    AND (g.context <> 'user' OR g.name IS NULL AND n.name ~ '^pl(perl|tcl|python)' OR n.name ~ 'preload_libraries$')`

/** What all databases share. */
export const sharedRemains = (major: number): Remains[] => [
  OUR_ROLES,
  ATTRIBUTES(major),
  MEMBERSHIPS(major),
  PARAMETERS,
  SETTINGS,
]

const notOfExtension = (catalog: string, oid: string) =>
  `${oid} >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`

/**
 * A SECURITY DEFINER function of ours would run with our rights: we make no functions. The catalogue's own are ours, and
 * run with their caller's.
 */
const FUNCTIONS_OF_OURS: Remains = `
  SELECT format('ALTER ROUTINE %s OWNER TO os_former', p.oid::regprocedure) AS statement
  FROM pg_proc p WHERE p.proowner = 10 AND ${notOfExtension('pg_proc', 'p.oid')}
    OR p.proowner = to_regrole('os_admin') OR p.proowner = to_regrole('os_owner') AND p.prosecdef
  UNION ALL
  SELECT format('ALTER ROUTINE %s OWNER TO os_maint', p.oid::regprocedure)
  FROM pg_proc p WHERE p.oid < 16384 AND p.proowner <> 10
  UNION ALL
  SELECT format('ALTER ROUTINE %s SECURITY INVOKER', p.oid::regprocedure)
  FROM pg_proc p WHERE (p.oid < 16384 OR p.proowner = 10) AND p.prosecdef AND NOT (${notOfExtension('pg_proc', 'p.oid')})`

/** A view of ours would read with our rights. */
const RELATIONS_OF_OURS: Remains = `
  SELECT format('ALTER TABLE %s OWNER TO os_former', c.oid::regclass) AS statement
  FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
    AND (c.relowner = 10 AND ${notOfExtension('pg_class', 'c.oid')} OR c.relowner = to_regrole('os_admin'))`

const UNTRUSTED = `p.prolang IN (SELECT oid FROM pg_language WHERE NOT lanpltrusted AND lanname NOT IN ('c', 'internal'))
  AND ${notOfExtension('pg_proc', 'p.oid')}`

/** A trigger runs its function without asking who may. */
const TRIGGERS_THAT_RUN_PROGRAMS: Remains = `
  SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) AS statement
  FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
  WHERE ${UNTRUSTED} AND NOT t.tgisinternal AND t.tgparentid = 0`

/** Functions that run programs: nobody may call them any more. Their text stays. */
const FUNCTIONS_THAT_RUN_PROGRAMS: Remains = `
  SELECT format('REVOKE ALL ON ROUTINE %s FROM PUBLIC%s CASCADE; ALTER ROUTINE %1$s OWNER TO os_former',
    p.oid::regprocedure, (SELECT string_agg(', ' || quote_ident(pg_get_userbyid(a.grantee)), '')
      FROM aclexplode(p.proacl) a WHERE a.grantee <> 0 AND a.grantee <> p.proowner)) AS statement
  FROM pg_proc p WHERE ${UNTRUSTED} AND (p.proacl IS NULL OR p.proowner <> to_regrole('os_former')
    OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee <> p.proowner))`

/** Foreign tables that read files and run programs: their rights were checked when they were made. */
const WRAPPERS_OF_FILES: Remains = `
  SELECT format('ALTER FOREIGN DATA WRAPPER %I NO HANDLER', w.fdwname) AS statement
  FROM pg_foreign_data_wrapper w JOIN pg_proc p ON p.oid = w.fdwhandler WHERE p.probin <> '$libdir/postgres_fdw'`

// What initdb or an extension gave; what has no line there has its default.
const GIVEN = (catalog: string, oid: string, column: string) =>
  `SELECT i.grantee, i.privilege_type FROM pg_init_privs v, aclexplode(v.initprivs) i
    WHERE v.classoid = '${catalog}'::regclass AND v.objoid = ${oid} AND v.objsubid = ${column}`

/** Rights to the catalogue's and extensions' own functions, which initdb or the extension has withheld. */
const GRANTS_ON_FUNCTIONS: Remains = `
  SELECT DISTINCT format('REVOKE ALL ON ROUTINE %s FROM %s CASCADE', p.oid::regprocedure, ${GRANTEE}) AS statement
  FROM pg_proc p, aclexplode(p.proacl) a
  WHERE (p.oid < 16384 OR NOT (${notOfExtension('pg_proc', 'p.oid')}))
    AND EXISTS (SELECT FROM pg_init_privs v WHERE v.classoid = 'pg_proc'::regclass AND v.objoid = p.oid)
    AND a.grantee <> p.proowner
    AND (a.grantee, a.privilege_type) NOT IN (${GIVEN('pg_proc', 'p.oid', '0')})`

/** Rights to the catalogue itself, to whole tables and to columns. */
const GRANTS_ON_CATALOGUE: Remains = `
  SELECT DISTINCT format('REVOKE %s ON TABLE %s FROM %s CASCADE', a.privilege_type, c.oid::regclass, ${GRANTEE})
    AS statement
  FROM pg_class c, aclexplode(c.relacl) a
  WHERE c.oid < 16384 AND a.grantee <> 10
    AND (a.grantee, a.privilege_type) NOT IN (${GIVEN('pg_class', 'c.oid', '0')})
  UNION ALL
  SELECT DISTINCT format('REVOKE %s (%I) ON TABLE %s FROM %s CASCADE',
    a.privilege_type, t.attname, c.oid::regclass, ${GRANTEE})
  FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
  WHERE c.oid < 16384 AND a.grantee <> 10
    AND (a.grantee, a.privilege_type) NOT IN (${GIVEN('pg_class', 'c.oid', 't.attnum')})`

/** What each database has for itself. Event triggers and additions to the catalogue are gone before. */
export const REMAINS: Remains[] = [
  TRIGGERS_THAT_RUN_PROGRAMS,
  FUNCTIONS_THAT_RUN_PROGRAMS,
  FUNCTIONS_OF_OURS,
  RELATIONS_OF_OURS,
  WRAPPERS_OF_FILES,
  GRANTS_ON_FUNCTIONS,
  GRANTS_ON_CATALOGUE,
]

/** Event triggers run in whoever's session. Nothing but the catalogue's own operators for these very types is used. */
export const EVENT_TRIGGERS = "SELECT evtname AS name FROM pg_event_trigger WHERE evtenabled <> 'D'"

/** What was added to the schema of the catalogue, and would stand in for the catalogue's own in every session. */
export const ADDED_OPERATORS = `SELECT oid::regoperator AS name FROM pg_operator
  WHERE oprnamespace = '11' AND oid >= '16384'`
export const ADDED_FUNCTIONS = `SELECT oid::regprocedure AS name, prolang AS language, probin AS library FROM pg_proc
  WHERE pronamespace = '11' AND oid >= '16384'`

/** Functions that may do anything, and that nobody can judge by their text. */
export const OPAQUE_FUNCTIONS = `
  SELECT p.oid::regprocedure::text AS name, l.lanname::text AS language
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
  WHERE NOT l.lanpltrusted AND ${notOfExtension('pg_proc', 'p.oid')} ORDER BY 1`
