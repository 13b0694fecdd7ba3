import type { AgentDriver } from '../../guest-agent/handlers.ts'
import { memoryVerbs } from '../../lib/datastores/memory/driver.ts'

/** A database server in memory, with the control of it. `executed` has the commands that changed something, in order. */
export function memoryServer() {
  const executed: string[] = []
  const control = {
    restart: async () => void executed.push('restart'),
    stop_db: async () => void executed.push('stop_db'),
    start_db_with_conf_changes: async () => void executed.push('start_db_with_conf_changes'),
    upgrade: async () => void executed.push('upgrade'),
    rebuild: async () => void executed.push('rebuild'),
  }
  return { ...memoryVerbs(executed), ...control, executed } satisfies AgentDriver & { executed: string[] }
}
