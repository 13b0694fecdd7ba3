import { SelfHostedSettings } from '../lib/wiring/self-hosted.ts'
import { type Options, readOptions, StartupError } from './options.ts'

const PARTS = ['gateway', 'taskmanager', 'conductor', 'periodic', 'host'] as const
type Part = (typeof PARTS)[number]

/** The options of `npm run serve`: those of `npm start`, and which parts this process runs. */
export interface ServeOptions extends Options {
  only: Part[]
}

/** Reads the command line; without `--only` (one part, or several with commas) all parts run. Throws StartupError. */
export function readServeOptions(args: string[], root: boolean, cwd: string): ServeOptions {
  const index = args.findIndex(arg => arg === '--only' || arg.startsWith('--only='))
  if (index < 0) return { ...readOneHost(args, root, cwd), only: [...PARTS] }
  const inline = args[index]?.startsWith('--only=')
  const text = (inline ? args[index]?.slice('--only='.length) : args[index + 1]) ?? ''
  const only = text.split(',').map(partOf)
  const rest = args.toSpliced(index, inline ? 1 : 2)
  // Only a machine with instances needs a boundary between them.
  return { ...readOneHost(only.includes('host') ? rest : [...rest, '--insecure'], root, cwd), only }
}

/** Each further host is a process of its own. */
function readOneHost(args: string[], root: boolean, cwd: string): Options {
  const options = readOptions(args, root, cwd)
  if (options.hosts > 1) throw new StartupError('--hosts is for npm start; start a host with --only host --host-id')
  return options
}

function partOf(text: string): Part {
  const part = PARTS.find(name => name === text)
  if (!part) throw new StartupError(`--only takes ${PARTS.join(', ')}, not '${text}'`)
  return part
}

/** The settings in the environment. Throws StartupError, which names what is missing or wrong and reveals no value. */
export function settingsOf(environment: Record<string, string | undefined>): SelfHostedSettings {
  const { success, data, error } = SelfHostedSettings.safeParse(environment)
  if (success) return data
  const names = [...new Set(error.issues.map(({ path }) => path.join('.')))]
  throw new StartupError(`the environment lacks, or has wrong: ${names.join(', ')} (docs/operations.md)`)
}
