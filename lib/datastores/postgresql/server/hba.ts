import { narrowerNetwork, networkOf } from '../rules/host-patterns.ts'

/** A user who may come from one network only. */
export interface PinnedUser {
  name: string
  host: string
}

const FIRST_LINE = '# Written by Coffer; changes are lost.'

const AGENT = '"os_maint","os_admin"'

/** The agent comes by the socket, and nobody else does; nobody has its names over the network. */
const AGENT_LINES = [
  `local all ${AGENT} scram-sha-256`,
  'local all all reject',
  `host all ${AGENT},"os_former" all reject`,
]

/** Earlier versions admitted the agent by its address. */
const isEarlierAgentLine = (line: string) => line.startsWith(`host all ${AGENT} `)

// In quotes a name is literal (`all`, `+group`, `@file` have no meaning there); a quote is doubled.
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** Rejects everybody without TLS who comes over the network. */
const ENCRYPTED_ONLY = 'hostnossl all all all reject'

/** Whether the text of a pg_hba.conf is Coffer's, not the one that initdb wrote. */
export const isOurs = (text: string) => text.startsWith(FIRST_LINE)

/**
 * Rules that Coffer wrote, earlier versions included, with the current lines for the agent, and with or without the line
 * that rejects unencrypted connections.
 */
export function withAgentLines(text: string, tlsEnforced: boolean): string {
  const head = [FIRST_LINE, ...AGENT_LINES]
  const replaced = new Set([...head, ENCRYPTED_ONLY])
  const rest = text.split('\n').filter(line => !replaced.has(line) && !isEarlierAgentLine(line))
  return [...head, ...(tlsEnforced ? [ENCRYPTED_ONLY] : []), ...rest].join('\n')
}

function pinnedLines({ name, host }: PinnedUser, networks: string[]): string[] {
  const network = networkOf(host)
  if (!network || /[\r\n]/.test(name)) throw new Error('a host that cannot be written into pg_hba.conf')
  const from = networks.flatMap(other => narrowerNetwork(network, other) ?? [])
  return [
    ...from.map(source => `host all ${quoted(name)} ${source} scram-sha-256`),
    `host all ${quoted(name)} all reject`,
  ]
}

const EVERYWHERE = '0.0.0.0/0'

/**
 * The text of pg_hba.conf: the first match wins, nothing without SCRAM, replication for nobody. Users come from these
 * networks (`10.0.0.0/16`) only; none = from everywhere. Throws for a user that cannot be written into it.
 */
export function hbaText(pinned: PinnedUser[], networks: string[] = []): string {
  const byName = [...pinned].sort((a, b) => (a.name < b.name ? -1 : 1))
  const lines = [
    FIRST_LINE,
    ...AGENT_LINES,
    ...byName.flatMap(user => pinnedLines(user, networks.length > 0 ? networks : [EVERYWHERE])),
    ...(networks.length > 0 ? networks : ['all']).map(network => `host all all ${network} scram-sha-256`),
  ]
  return `${lines.join('\n')}\n`
}
