import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'

/** The options of `npm run soak`. */
export interface SoakOptions {
  /** How long the actors act. */
  minutes: number
  /** Whether processes are killed meanwhile. */
  kills: boolean
  /** The mean time between two kills. */
  killSeconds: number
  seed: number
  /** A folder that does not exist; without it a new one in the temporary directory. */
  dataDir: string | undefined
  actors: number
  /** How many instances there are at most. */
  instances: number
  /** How long everything may take to come to rest after the last kill. */
  settleSeconds: number
}

/** Reads the command line. Throws an Error that says what is wrong with it. */
export function readSoakOptions(args: string[]): SoakOptions {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string', default: '1' },
      kills: { type: 'boolean', default: false },
      'kill-seconds': { type: 'string', default: '3' },
      seed: { type: 'string' },
      'data-dir': { type: 'string' },
      actors: { type: 'string', default: '5' },
      instances: { type: 'string', default: '6' },
      'settle-seconds': { type: 'string', default: '300' },
    },
  })
  return {
    minutes: numberOf('minutes', values.minutes, 0.1, 10_000),
    kills: values.kills,
    killSeconds: numberOf('kill-seconds', values['kill-seconds'], 0.1, 3_600),
    seed: values.seed === undefined ? randomInt(2 ** 31) : numberOf('seed', values.seed, 0, 2 ** 32 - 1),
    dataDir: values['data-dir'],
    actors: numberOf('actors', values.actors, 1, 100),
    instances: numberOf('instances', values.instances, 1, 20),
    settleSeconds: numberOf('settle-seconds', values['settle-seconds'], 1, 3_600),
  }
}

function numberOf(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!/^[0-9]+(\.[0-9]+)?$/.test(text) || value < min || value > max) {
    throw new Error(`--${name} takes a number from ${min} to ${max}, not '${text}'`)
  }
  return value
}
