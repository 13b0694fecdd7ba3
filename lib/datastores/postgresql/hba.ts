import { commonOf, networkOf } from './hosts.ts'

/** A user who may come from one network only. */
export interface Pinned {
  name: string
  host: string
}

const AGENT = '"os_maint","os_admin"'

// A name in quotes is taken as it stands (`all`, `+group`, `@file` mean nothing there); a quote is doubled.
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

function pinnedLines({ name, host }: Pinned, networks: string[]): string[] {
  const network = networkOf(host)
  if (!network || /[\r\n]/.test(name)) throw new Error('a host that cannot be written into pg_hba.conf')
  const from = networks.flatMap(other => commonOf(network, other) ?? [])
  return [...from.map(each => `host all ${quoted(name)} ${each} scram-sha-256`), `host all ${quoted(name)} all reject`]
}

const EVERYWHERE = '0.0.0.0/0'

/**
 * The whole of pg_hba.conf: first match wins, nothing without SCRAM, replication for nobody. Users come from these
 * networks (`10.0.0.0/16`) only; none named = from everywhere.
 */
export function hbaText(pinned: Pinned[], networks: string[] = []): string {
  const byName = [...pinned].sort((a, b) => (a.name < b.name ? -1 : 1))
  const lines = [
    '# Written by Coffer; changes are lost.',
    ...['127.0.0.0/8', 'samehost'].map(address => `host all ${AGENT} ${address} scram-sha-256`),
    `host all ${AGENT} all reject`,
    ...byName.flatMap(each => pinnedLines(each, networks.length > 0 ? networks : [EVERYWHERE])),
    ...(networks.length > 0 ? networks : ['all']).map(network => `host all all ${network} scram-sha-256`),
  ]
  return `${lines.join('\n')}\n`
}
