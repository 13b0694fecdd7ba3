import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { AgentKeeper } from '../../host/agent-keeper.ts'
import { writeAgentFiles } from '../../host/agents.ts'
import { UNCONFINED } from '../../host/confinement.ts'
import { InstanceQueues } from '../../host/instance-queues.ts'
import { hostState, type ServerState, serverDir } from '../../host/state.ts'
import { MACHINES } from '../../lib/datastores/machines.ts'
import { silentLog } from '../kit/random.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { hostConfig, server as request } from './daemon-world.ts'

it('an agent runs nothing before it is bounded, however long that takes', async () => {
  const config = hostConfig()
  const folder = join(config.dataDir, '..')
  const ended = new AbortController()
  try {
    writeFileSync(config.runtime.agent, "import { writeFileSync } from 'node:fs'\nwriteFileSync('ran', '')\n")
    const { userData, ...spec } = request
    const server: ServerState = { ...spec, address: '127.0.0.1', port: 5432 }
    mkdirSync(join(config.dataDir, 'servers'))
    await writeAgentFiles(config, server, userData)
    const ran = join(serverDir(config.dataDir, server.name), 'ran')
    let hadRun: boolean | undefined
    const keeper = new AgentKeeper({
      config,
      machines: MACHINES,
      state: hostState(config.dataDir),
      queues: new InstanceQueues(),
      clock: realClock,
      log: silentLog,
      ended: ended.signal,
      report: async () => {},
      confinement: {
        ...UNCONFINED,
        async bound() {
          // Another process of the same program, which starts later, has ended.
          await once(spawn(config.runtime.node, [config.runtime.agent], { cwd: folder, stdio: 'ignore' }), 'exit')
          hadRun = existsSync(ran)
        },
      },
    })
    await keeper.start(server)
    expect(hadRun).toBe(false)
    while (!existsSync(ran)) await realClock.sleep(10)
  } finally {
    ended.abort()
    rmSync(folder, { recursive: true })
  }
})
