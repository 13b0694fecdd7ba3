import type { Site } from '../driver.ts'
import { majorOf, NEWEST } from './major.ts'

/** Names of PostgreSQL's settings and their values. */
export type Settings = Record<string, string | number>

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, Math.floor(value)))

/** What the memory of a flavor allows. */
function memory(ramMb: number): Settings {
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
    // The volume's size is not known here; small flavors have small ones.
    min_wal_size: `${clamp(ramMb / 16, 32, 1024)}MB`,
    max_wal_size: `${clamp(ramMb / 2, 256, 8192)}MB`,
    // Asynchronous reads cost three more processes, which a small instance does not get back.
    io_method: ramMb < 2048 ? 'sync' : 'worker',
    huge_pages: 'try',
  }
}

/** What the processors of a flavor allow. */
function processors(vcpus: number): Settings {
  return {
    max_worker_processes: Math.max(8, vcpus),
    max_parallel_workers: vcpus,
    max_parallel_workers_per_gather: clamp(vcpus / 2, 0, 4),
    max_parallel_maintenance_workers: clamp(vcpus / 2, 0, 4),
  }
}

/** What holds on every instance: how it is reached, and that neither its log nor its superuser gives anything away. */
const ALWAYS: Settings = {
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  // The agent's connections: tenants must not be able to use up the last ones.
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

/** The major version with which a setting came; a server refuses to start with one that it does not know. */
const SINCE: Record<string, number> = { reserved_connections: 16, allow_alter_system: 17, io_method: 18 }

/** PostgreSQL's settings for an instance of this flavor at this address, as far as its major version knows them. */
export function settingsFor(
  { flavor, address, port }: Pick<Site, 'flavor' | 'address' | 'port'>,
  major = NEWEST,
): Settings {
  const all: Settings = {
    listen_addresses: address,
    port,
    ...ALWAYS,
    ...memory(flavor.ramMb),
    ...processors(flavor.vcpus),
  }
  // Where none can be reserved for the limited role, it comes in as a superuser.
  if (major < 16) all.superuser_reserved_connections = 6
  return Object.fromEntries(Object.entries(all).filter(([name]) => (SINCE[name] ?? 0) <= major))
}

function line([name, value]: [string, string | number]): string {
  const text = String(value)
  if (!/^[a-z_]+$/.test(name) || /[\0\r\n]/.test(text))
    throw new Error(`${name} cannot be written into a settings file`)
  return `${name} = '${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'\n`
}

/** Settings as the text of a configuration file. */
export function settingsText(settings: Settings): string {
  return `# Written by Coffer; changes are lost.\n${Object.entries(settings).map(line).join('')}`
}

/** The settings of a flavor in that exact version (else the newest), without those that tell where the server is. */
export function shownSettings(flavor: Site['flavor'], version?: string): Settings {
  const all = settingsFor({ flavor, address: '', port: 0 }, version === undefined ? NEWEST : majorOf(version))
  const { listen_addresses: _, port: __, unix_socket_directories: ___, ...shown } = all
  return shown
}
