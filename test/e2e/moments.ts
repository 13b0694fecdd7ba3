import { readFileSync } from 'node:fs'
import { type Coffer, until } from './coffer.ts'
import { databasePids, type Instance, signal } from './kills.ts'

/** The database of an instance, stopped in the middle of whatever it does: who wants something of it has to wait. */
export interface HeldDatabase {
  /** Resolves once somebody wants something of it: that it stops or reads its files, or a session. */
  wanted(): Promise<void>
  /** Lets it go on, if it still lives. */
  release(): void
}

/** SIGHUP, SIGINT, SIGQUIT and SIGTERM in a mask of /proc; a server sends others to itself. */
const FROM_OTHERS = 1n | (1n << 1n) | (1n << 2n) | (1n << 14n)

export function holdDatabase(coffer: Coffer, { id, addresses: [{ address, port = 5432 }] }: Instance): HeldDatabase {
  const [pid] = databasePids(coffer, `volume-${id}-1`)
  if (pid === undefined) throw new Error(`no database of ${id} runs`)
  signal(pid, 'SIGSTOP')
  const before = sessionsAt(address, port)
  return {
    wanted: () =>
      until(`wish for database ${id}`, async () => isSignalled(pid) || sessionsAt(address, port) > before).then(
        () => {},
      ),
    release: () => signal(pid, 'SIGCONT'),
  }
}

/** Whether a signal waits for the process. */
function isSignalled(pid: number): boolean {
  const masks = [...readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(/^S(?:ig|hd)Pnd:\s*(\w+)$/gm)]
  return masks.some(([, mask]) => (BigInt(`0x${mask}`) & FROM_OTHERS) !== 0n)
}

const ESTABLISHED = '01'

/** How many sessions the server of that address has, accepted or waiting for it. */
function sessionsAt(address: string, port: number): number {
  const bytes = address.split('.').map(Number).reverse()
  const hex = [...bytes.map(byte => byte.toString(16).padStart(2, '0'))].join('')
  const local = `${hex}:${port.toString(16).padStart(4, '0')}`.toUpperCase()
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(([, from, , state]) => from === local && state === ESTABLISHED).length
}
