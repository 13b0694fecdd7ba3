import { setFlagsFromString } from 'node:v8'

/** V8's compilers to machine code. */
const COMPILERS = ['opt', 'maglev', 'sparkplug']
const BUSY_QUERIES = 300

/**
 * Turns V8's compilers off, as machine code would cost ten megabytes of a process that mostly waits, and on again once
 * `onQuery` was called so often that they pay. On the command line, the flags would invalidate Node.js's own compiled
 * modules.
 */
export function optimizeBusyAgent(): { onQuery(): void } {
  for (const compiler of COMPILERS) setFlagsFromString(`--no-${compiler}`)
  let count = 0
  return {
    onQuery() {
      count += 1
      if (count === BUSY_QUERIES) for (const compiler of COMPILERS) setFlagsFromString(`--${compiler}`)
    },
  }
}
