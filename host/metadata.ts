import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { PROGRAM_PATH } from './config.ts'
import { UIDS } from './uids.ts'

/** Where clouds give a machine its credentials; the second is EC2's. */
const ADDRESSES = { '-4': '169.254.169.254', '-6': 'fd00:ec2::254' }
type Family = keyof typeof ADDRESSES

/** A service that is there answers at once. */
const ANSWER_MS = 200

/** `none`: this machine has no such service. `open`: it has, and the rule could not be set. */
export type MetadataState = 'none' | 'closed' | 'open'

/**
 * Closes the metadata address to the uids that a host gives, from `firstUid` on: programs of instances would else have the
 * rights of the machine. For root on Linux; a rule of the routing policy, which `openMetadata` takes back.
 */
export async function closeMetadata(firstUid: number): Promise<MetadataState> {
  if (!(await answers(ADDRESSES['-4']))) return 'none'
  const isClosed = await ensureRule('-4', firstUid)
  // Few machines have IPv6's address, and fewer without the other.
  await ensureRule('-6', firstUid)
  return isClosed ? 'closed' : 'open'
}

/** Takes the rules back. */
export async function openMetadata(firstUid: number): Promise<void> {
  for (const family of families) await ip(family, ['rule', 'del', ...selector(family, firstUid)])
}

const families = Object.keys(ADDRESSES) as Family[]

const selector = (family: Family, firstUid: number) => [
  ...['to', ADDRESSES[family], 'uidrange', `${firstUid}-${firstUid + UIDS - 1}`],
  'prohibit',
]

/** Adds the rule unless a daemon before left it. False if that is not possible. */
async function ensureRule(family: Family, firstUid: number): Promise<boolean> {
  const rules = await ip(family, ['-j', 'rule', 'list'])
  if (rules === undefined) return false
  const isThere = (JSON.parse(rules) as { dst?: string; uid_start?: number }[]).some(
    ({ dst, uid_start: start }) => dst === ADDRESSES[family] && start === firstUid,
  )
  return isThere || (await ip(family, ['rule', 'add', ...selector(family, firstUid)])) !== undefined
}

/** What the program prints; undefined if it fails or is missing. */
async function ip(family: Family, args: string[]): Promise<string | undefined> {
  try {
    return (await promisify(execFile)('ip', [family, ...args], { env: { PATH: `${PROGRAM_PATH}:/usr/sbin:/sbin` } }))
      .stdout
  } catch {
    return undefined
  }
}

/** Whether something listens at the address. */
async function answers(host: string): Promise<boolean> {
  const socket = connect({ host, port: 80 })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(ANSWER_MS) })
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
