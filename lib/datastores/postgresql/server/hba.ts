import { narrowerNetwork, networkOf } from '../rules/host-patterns.ts'

/** A user who may come from one network only. */
export interface PinnedUser {
  name: string
  host: string
}

const AGENT = '"os_maint","os_admin"'

// In quotes a name is literal (`all`, `+group`, `@file` have no meaning there); a quote is doubled.
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** Rejects everybody without TLS but the agent, whose lines come before and who is on the server's own machine. */
const ENCRYPTED_ONLY = 'hostnossl all all all reject'
const LAST_AGENT_LINE = `host all ${AGENT} all reject`

/** The text with, or without, the line that rejects unencrypted connections. */
export function enforceTls(text: string, enforced: boolean): string {
  const lines = text.split('\n').filter(line => line !== ENCRYPTED_ONLY)
  if (enforced) lines.splice(lines.indexOf(LAST_AGENT_LINE) + 1, 0, ENCRYPTED_ONLY)
  return lines.join('\n')
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
    '# Written by Coffer; changes are lost.',
    ...['127.0.0.0/8', 'samehost'].map(address => `host all ${AGENT} ${address} scram-sha-256`),
    LAST_AGENT_LINE,
    ...byName.flatMap(user => pinnedLines(user, networks.length > 0 ? networks : [EVERYWHERE])),
    ...(networks.length > 0 ? networks : ['all']).map(network => `host all all ${network} scram-sha-256`),
  ]
  return `${lines.join('\n')}\n`
}
