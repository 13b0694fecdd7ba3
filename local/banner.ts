import { join } from 'node:path'
import { parseProcessRef, readTextIfExists } from './data-dir.ts'

/** Printed before the ready line where tenants can run programs. */
export const superuserNote =
  'note: --root superuser: the root user of an instance runs programs on this machine, so all tenants must be trusted'

/** What `npm start` prints before its ready line: what runs, and where its files are. */
export function startupBanner(cloud: {
  url: string
  dataDir: string
  socket: string
  rate: number
  /** What instances are bounded by. */
  bounds: string
}): string {
  const { url, dataDir, socket, rate, bounds } = cloud
  const file = (name: string) => join(dataDir, name)
  const daemon = parseProcessRef(readTextIfExists(file('host.pid')))
  const lines = {
    gateway: `${url}, in this process (pid ${process.pid}) with all functions`,
    limits: rate === 0 ? 'none' : `${rate} requests a minute for each project and verb`,
    metrics: `${url}/metrics, for this machine only`,
    data: dataDir,
    queue: `in this process; others reach it at ${socket}`,
    'host daemon': `pid ${daemon?.pid ?? 'unknown'}, log ${file('host.log')}`,
    agents: `logs ${file('servers/*.log')}`,
    databases: `logs ${file('volumes/*/server.log')}`,
    bounds,
    accounts: `${file('openrc')}, openrc-admin, openrc-alt, clouds.yaml`,
  }
  return Object.entries(lines)
    .map(([name, text]) => `${name.padEnd(12)} ${text}\n`)
    .join('')
}
