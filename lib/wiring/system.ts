import { randomBytes, randomUUID } from 'node:crypto'
import { pino } from 'pino'
import type { Clock, Log, Random } from '../kit/clock.ts'

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise(resolve => {
      if (signal?.aborted) return resolve()
      const finish = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', finish)
        resolve()
      }
      const timer = setTimeout(finish, ms)
      signal?.addEventListener('abort', finish)
    }),
}

/** Time since this process began: for durations within it. Nobody can set it. */
export const steadyClock: Clock = { ...systemClock, now: () => performance.now() }

/** The machine's source of randomness. */
export const systemRandom: Random = {
  uuid: () => randomUUID(),
  bytes: count => new Uint8Array(randomBytes(count)),
}

/** A log of JSON lines to standard output, or to a file descriptor. */
export function systemLog(component: string, level: string, fd = 1): Log {
  const log = pino(
    {
      level,
      base: { component },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
    },
    bufferedPerTurn(fd),
  )
  return logOf(log)
}

/** Lines that could not be written are kept up to here. */
const MAX_UNWRITTEN_BYTES = 1024 * 1024

/** Writes the log of one event-loop turn with one call at its end: a call for each line took a seventh of a request's CPU time. */
function bufferedPerTurn(fd: number): { write(line: string): void } {
  const out = pino.destination({ fd, sync: true, maxLength: MAX_UNWRITTEN_BYTES })
  // On a full disk lines are lost; without a listener the process would end.
  out.on('error', () => undefined)
  let lines = ''
  const flush = () => {
    const text = lines
    lines = ''
    if (text !== '') out.write(text)
  }
  process.on('exit', flush)
  return {
    write(line) {
      if (lines === '') setImmediate(flush)
      lines += line
    },
  }
}

function logOf(log: pino.Logger): Log {
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    child: fields => logOf(log.child(fields)),
  }
}
