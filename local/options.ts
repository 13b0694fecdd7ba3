import { totalmem } from 'node:os'
import { isAbsolute, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { RootMode } from '../lib/contracts/guest/root.ts'
import { HOST_ID } from '../lib/model/host.ts'

/** The options of `npm start`. */
export interface Options {
  port: number
  host: string
  dataDir: string
  /** Requests a minute for each project and verb; 0 = no limit. */
  rate: number
  /** How many initialised volumes of the default version are kept for the next creates. */
  spares: number
  /** The id of this machine's host; with several, that of the first. */
  hostId: string
  /** How many hosts run here. */
  hosts: number
  /** How much memory the instances of each host may have together. */
  ramMb: number
  /** What the root user of an instance is. */
  root: RootMode
  insecure: boolean
  quiet: boolean
  /** Accounts of the data directory that get a new password. */
  newPasswords: string[]
}

/** Invalid option or environment: print one line, exit non-zero. */
export class StartupError extends Error {
  override name = 'StartupError'
}

/** As root, a folder that the instances' own uids can reach. */
const defaultDataDir = (root: boolean) => (root ? '/var/lib/coffer' : '.coffer')

/** An instance hardly ever uses all that its flavor names: Nova's default share, too, was 1.5 of a machine's memory. */
const defaultRamMb = (hosts: number) => Math.floor((1.5 * totalmem()) / 2 ** 20 / hosts)

/** Reads the command line. Throws StartupError. */
export function readOptions(args: string[], root: boolean, cwd: string): Options {
  const { values } = parseOptions(args)
  const dataDir = values['data-dir'] ?? defaultDataDir(root)
  const hosts = wholeNumber('hosts', values.hosts ?? '1', 1, 16)
  const options = {
    port: wholeNumber('port', values.port ?? '8779', 0, 65_535),
    host: values.host ?? '127.0.0.1',
    dataDir: isAbsolute(dataDir) ? dataDir : resolve(cwd, dataDir),
    rate: wholeNumber('rate', values.rate ?? '200', 0, 1_000_000_000),
    spares: wholeNumber('spares', values.spares ?? '2', 0, 16),
    hostId: hostId(values['host-id'] ?? 'local'),
    hosts,
    ramMb: wholeNumber('ram-mb', values['ram-mb'] ?? String(defaultRamMb(hosts)), 512, 1_000_000_000),
    root: rootMode(values.root ?? 'administrator'),
    insecure: values.insecure ?? false,
    quiet: values.quiet ?? false,
    newPasswords: values['new-password'] ?? [],
  }
  if (!root && !options.insecure && !isLoopback(options.host)) {
    throw new StartupError(
      `--host ${options.host} needs --insecure: without root, instances are no boundary between tenants`,
    )
  }
  return options
}

function parseOptions(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        'data-dir': { type: 'string' },
        rate: { type: 'string' },
        spares: { type: 'string' },
        'host-id': { type: 'string' },
        hosts: { type: 'string' },
        'ram-mb': { type: 'string' },
        root: { type: 'string' },
        insecure: { type: 'boolean' },
        quiet: { type: 'boolean' },
        'new-password': { type: 'string', multiple: true },
      },
    })
  } catch (error) {
    const [line = ''] = (error instanceof Error ? error.message : String(error)).split('\n')
    throw new StartupError(line)
  }
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!/^[0-9]+$/.test(text) || value < min || value > max)
    throw new StartupError(`--${name} takes a whole number from ${min} to ${max}, not '${text}'`)
  return value
}

function hostId(text: string): string {
  if (HOST_ID.test(text)) return text
  throw new StartupError(`--host-id takes 1 to 40 of a-z, 0-9 and -, not '${text}'`)
}

function rootMode(text: string): RootMode {
  const { success, data } = RootMode.safeParse(text)
  if (!success) throw new StartupError(`--root takes ${RootMode.options.join(' or ')}, not '${text}'`)
  return data
}

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.')
