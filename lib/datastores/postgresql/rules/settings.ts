import type { DriverContext } from '../../driver.ts'
import { majorOf, NEWEST_MAJOR } from './major.ts'

/** Names of PostgreSQL's settings and their values. */
export type Settings = Record<string, string | number>

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, Math.floor(value)))

/** The settings that follow from a flavor's memory. */
function memorySettings(ramMb: number): Settings {
  const sharedMb = clamp(ramMb / 4, 16, ramMb)
  const connections = clamp(ramMb / 8, 32, 1000)
  // Each connection may use several times its work_mem at once.
  const workMb = clamp((ramMb - sharedMb) / (connections * 3), 4, 1024)
  return {
    shared_buffers: `${sharedMb}MB`,
    effective_cache_size: `${clamp((ramMb * 3) / 4, 16, ramMb)}MB`,
    work_mem: `${workMb}MB`,
    maintenance_work_mem: `${clamp(ramMb / 16, 16, 2048)}MB`,
    max_connections: connections,
    // The volume's size is not known here; small flavors have small volumes.
    min_wal_size: `${clamp(ramMb / 16, 32, 1024)}MB`,
    max_wal_size: `${clamp(ramMb / 2, 256, 8192)}MB`,
    // Asynchronous reads need three more processes, which do not pay off on a small instance.
    io_method: ramMb < 2048 ? 'sync' : 'worker',
    huge_pages: 'try',
  }
}

/** The settings that follow from a flavor's processors. */
function processorSettings(vcpus: number): Settings {
  return {
    max_worker_processes: Math.max(8, vcpus),
    max_parallel_workers: vcpus,
    max_parallel_workers_per_gather: clamp(vcpus / 2, 0, 4),
    max_parallel_maintenance_workers: clamp(vcpus / 2, 0, 4),
  }
}

/** The settings of every instance: how it is reached, and no secrets in its log. */
const COMMON_SETTINGS: Settings = {
  // For the agent. The server works in its data, which nobody else may enter; the path of a socket has to be short.
  unix_socket_directories: '.',
  // The list of processes is everybody's: statements do not belong there.
  update_process_title: 'off',
  password_encryption: 'scram-sha-256',
  // For the agent: tenants must not be able to use up all connections.
  superuser_reserved_connections: 3,
  reserved_connections: 3,
  // The configuration is Coffer's: ALTER SYSTEM would outrank it.
  allow_alter_system: 'off',
  log_destination: 'stderr',
  logging_collector: 'off',
  log_timezone: 'UTC',
  timezone: 'UTC',
  // A statement's text, its parameters and a row's values may be secrets; the message alone is logged.
  log_statement: 'none',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_parameter_max_length: 0,
  log_parameter_max_length_on_error: 0,
  random_page_cost: 1.1,
}

/**
 * Settings that load or run something, or say where files are, for data in that absolute path: coffer.conf is read last,
 * so that nothing counts which a program of a former superuser wrote into postgresql.conf.
 */
export function lockedSettings(data: string, major: number): Settings {
  const locked: Settings = {
    data_directory: data,
    hba_file: `${data}/pg_hba.conf`,
    ident_file: `${data}/pg_ident.conf`,
    external_pid_file: '',
    shared_preload_libraries: '',
    session_preload_libraries: '',
    local_preload_libraries: '',
    dynamic_library_path: '$libdir',
    extension_control_path: '$system',
    jit_provider: 'llvmjit',
    archive_mode: 'off',
    archive_command: '',
    archive_library: '',
    archive_cleanup_command: '',
    restore_command: '',
    recovery_end_command: '',
    ssl_passphrase_command: '',
    allow_system_table_mods: 'off',
    // A prepared transaction could still make a superuser: with one the server does not start.
    max_prepared_transactions: 0,
  }
  return ofMajor(locked, major)
}

const ofMajor = (settings: Settings, major: number): Settings =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => (SINCE[name] ?? 0) <= major))

/** The major version that introduced a setting; an older server would not start with it. */
const SINCE: Record<string, number> = {
  reserved_connections: 16,
  allow_alter_system: 17,
  io_method: 18,
  extension_control_path: 18,
}

/** PostgreSQL's settings for an instance of this flavor at this address, without those that its major version lacks. */
export function settingsFor(
  { flavor, address, port }: Pick<DriverContext, 'flavor' | 'address' | 'port'>,
  major = NEWEST_MAJOR,
): Settings {
  const all: Settings = {
    listen_addresses: address,
    port,
    ...COMMON_SETTINGS,
    ...memorySettings(flavor.ramMb),
    ...processorSettings(flavor.vcpus),
  }
  // Here none can be reserved for the limited role, so the agent connects as a superuser.
  if (major < 16) all.superuser_reserved_connections = 6
  return ofMajor(all, major)
}

function settingLine([name, value]: [string, string | number]): string {
  const text = String(value)
  if (!/^[a-z_]+$/.test(name) || /[\0\r\n]/.test(text))
    throw new Error(`${name} cannot be written into a settings file`)
  return `${name} = '${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'\n`
}

/** Settings as the text of a configuration file. */
export function configText(settings: Settings): string {
  return `# Written by Coffer; changes are lost.\n${Object.entries(settings).map(settingLine).join('')}`
}

/** The settings of a flavor in that exact version (else the newest), without those that say where the server is. */
export function publicSettings(flavor: DriverContext['flavor'], version?: string): Settings {
  const all = settingsFor({ flavor, address: '', port: 0 }, version === undefined ? NEWEST_MAJOR : majorOf(version))
  const { listen_addresses: _, port: __, unix_socket_directories: ___, ...publicOnes } = all
  return publicOnes
}
