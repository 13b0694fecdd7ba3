import { isAbsolute, resolve } from 'node:path'
import { parseArgs } from 'node:util'

/** What `npm start` was asked for. */
export interface Options {
  port: number
  host: string
  dataDir: string
  rate: number
  insecure: boolean
  quiet: boolean
}

/** A wish or a surrounding that cannot be: one line for the user, and a non-zero exit. */
export class Unfit extends Error {
  override name = 'Unfit'
}

/** Where everything is kept unless told otherwise: as root, where the instances' own uids can reach it. */
const defaultDataDir = (root: boolean) => (root ? '/var/lib/coffer' : '.coffer')

/** Reads the command line. Throws Unfit. */
export function readOptions(args: string[], root: boolean, cwd: string): Options {
  const { values } = parsed(args)
  const dataDir = values['data-dir'] ?? defaultDataDir(root)
  const options = {
    port: wholeNumber('port', values.port ?? '8779', 0, 65_535),
    host: values.host ?? '127.0.0.1',
    dataDir: isAbsolute(dataDir) ? dataDir : resolve(cwd, dataDir),
    rate: wholeNumber('rate', values.rate ?? '200', 0, 1_000_000_000),
    insecure: values.insecure ?? false,
    quiet: values.quiet ?? false,
  }
  if (!root && !options.insecure && !isLoopback(options.host)) {
    throw new Unfit(`--host ${options.host} needs --insecure: without root, instances are no boundary between tenants`)
  }
  return options
}

function parsed(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        'data-dir': { type: 'string' },
        rate: { type: 'string' },
        insecure: { type: 'boolean' },
        quiet: { type: 'boolean' },
      },
    })
  } catch (error) {
    const [line = ''] = (error instanceof Error ? error.message : String(error)).split('\n')
    throw new Unfit(line)
  }
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (!/^[0-9]+$/.test(text) || value < least || value > most)
    throw new Unfit(`--${name} takes a whole number from ${least} to ${most}, not '${text}'`)
  return value
}

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.')
