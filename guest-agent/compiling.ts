import { setFlagsFromString } from 'node:v8'

/** What V8 makes machine code with. */
const COMPILERS = ['opt', 'maglev', 'sparkplug']
const MANY = 300

/**
 * Machine code would cost ten megabytes of a process that mostly waits: there is none until `asked` was called so many
 * times that it pays. By this and not on the command line, for there it would make Node.js compile its own modules anew.
 */
export function compiling(): { asked(): void } {
  for (const compiler of COMPILERS) setFlagsFromString(`--no-${compiler}`)
  let count = 0
  return {
    asked() {
      count += 1
      if (count === MANY) for (const compiler of COMPILERS) setFlagsFromString(`--${compiler}`)
    },
  }
}
