import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { endpointOf } from './api-helpers.ts'
import { type Coffer, processesOf, until } from './coffer.ts'
import { databasePids, type Instance, sendSignal } from './fault-injection.ts'

/** The database of an instance, frozen in the middle of whatever it does: everyone who needs it has to wait. */
export interface FrozenDatabase {
  /** Resolves once somebody needs the database: sends it a signal, or opens a session. */
  waitForRequest(): Promise<void>
  /** Lets it go on, if it still lives. */
  release(): void
}

/** SIGHUP, SIGINT, SIGQUIT and SIGTERM in a signal mask of /proc; a server sends other signals to itself. */
const FROM_OTHERS = 1n | (1n << 1n) | (1n << 2n) | (1n << 14n)

export function freezeDatabase(coffer: Pick<Coffer, 'dataDir'>, instance: Instance): FrozenDatabase {
  const { id } = instance
  const [pid] = databasePids(coffer, `volume-${id}-1`)
  if (pid === undefined) throw new Error(`no database of ${id} runs`)
  const { host, port } = endpointOf(instance)
  const agent = processesOf(coffer.dataDir).find(({ args }) => args.includes('guest-agent.mjs') && args.includes(id))
  const countSessions = () => countClients(host, port) + (agent ? countSockets(agent.pid) : 0)
  sendSignal(pid, 'SIGSTOP')
  const before = countSessions()
  return {
    async waitForRequest() {
      await until(`request for database ${id}`, async () => hasPendingSignal(pid) || countSessions() > before)
    },
    release: () => sendSignal(pid, 'SIGCONT'),
  }
}

/** Keeps the database frozen while `work` runs. */
export async function withDatabaseFrozen(
  coffer: Pick<Coffer, 'dataDir'>,
  instance: Instance,
  work: () => Promise<void>,
): Promise<void> {
  const database = freezeDatabase(coffer, instance)
  try {
    await work()
  } finally {
    database.release()
  }
}

/** Whether somebody has sent the process a signal that it has not received yet. */
function hasPendingSignal(pid: number): boolean {
  const masks = [...readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(/^S(?:ig|hd)Pnd:\s*(\w+)$/gm)]
  return masks.some(([, mask]) => (BigInt(`0x${mask}`) & FROM_OTHERS) !== 0n)
}

const ESTABLISHED = '01'

/** How many sockets a process has: its agent's sessions have no address that says whose they are. */
function countSockets(pid: number): number {
  const links = readdirSync(`/proc/${pid}/fd`).map(fd => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`)
    } catch {
      return ''
    }
  })
  return links.filter(link => link.startsWith('socket:')).length
}

/** How many sessions of clients the server at that address has, accepted or waiting to be. */
function countClients(address: string, port: number): number {
  const bytes = address.split('.').map(Number).reverse()
  const hex = [...bytes.map(byte => byte.toString(16).padStart(2, '0'))].join('')
  const local = `${hex}:${port.toString(16).padStart(4, '0')}`.toUpperCase()
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(([, from, , state]) => from === local && state === ESTABLISHED).length
}
