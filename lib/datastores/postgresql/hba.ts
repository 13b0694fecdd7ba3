import { networkOf } from './hosts.ts'

/** A user who may come from one network only. */
export interface Pinned {
  name: string
  host: string
}

const AGENT = '"os_maint","os_admin"'

// A name in quotes is taken as it stands (`all`, `+group`, `@file` mean nothing there); a quote is doubled.
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

function pinnedLines({ name, host }: Pinned): string[] {
  const network = networkOf(host)
  if (!network || /[\r\n]/.test(name)) throw new Error('a host that cannot be written into pg_hba.conf')
  return [`host all ${quoted(name)} ${network} scram-sha-256`, `host all ${quoted(name)} all reject`]
}

/** The whole of pg_hba.conf: first match wins, nothing without SCRAM, replication for nobody. */
export function hbaText(pinned: Pinned[]): string {
  const byName = [...pinned].sort((a, b) => (a.name < b.name ? -1 : 1))
  const lines = [
    '# Written by Coffer; changes are lost.',
    ...['127.0.0.0/8', 'samehost'].map(address => `host all ${AGENT} ${address} scram-sha-256`),
    `host all ${AGENT} all reject`,
    ...byName.flatMap(pinnedLines),
    'host all all all scram-sha-256',
  ]
  return `${lines.join('\n')}\n`
}
