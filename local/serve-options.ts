import { OwnSettings } from '../lib/wiring/own.ts'
import { type Options, readOptions, Unfit } from './options.ts'

const PARTS = ['gateway', 'taskmanager', 'conductor', 'periodic', 'host'] as const
export type Part = (typeof PARTS)[number]

/** What `npm run serve` was asked for: the options of `npm start`, and which parts this process is. */
export interface ServeOptions extends Options {
  only: Part[]
}

/** Reads the command line: `--only` with one part, or several with commas; without it, all. Throws Unfit. */
export function readServeOptions(args: string[], root: boolean, cwd: string): ServeOptions {
  const at = args.findIndex(arg => arg === '--only' || arg.startsWith('--only='))
  if (at < 0) return { ...readOptions(args, root, cwd), only: [...PARTS] }
  const inline = args[at]?.startsWith('--only=')
  const text = (inline ? args[at]?.slice('--only='.length) : args[at + 1]) ?? ''
  const only = text.split(',').map(partOf)
  const rest = args.toSpliced(at, inline ? 1 : 2)
  // Where there are no instances, whose they are is no question.
  return { ...readOptions(only.includes('host') ? rest : [...rest, '--insecure'], root, cwd), only }
}

function partOf(text: string): Part {
  const part = PARTS.find(each => each === text)
  if (!part) throw new Unfit(`--only takes ${PARTS.join(', ')}, not '${text}'`)
  return part
}

/** The settings in the environment. Throws Unfit, which names what is missing and shows no value. */
export function settingsOf(environment: Record<string, string | undefined>): OwnSettings {
  const { success, data, error } = OwnSettings.safeParse(environment)
  if (success) return data
  const names = [...new Set(error.issues.map(({ path }) => path.join('.')))]
  throw new Unfit(`the environment lacks, or has wrong: ${names.join(', ')} (docs/operations.md)`)
}
