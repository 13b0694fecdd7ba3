import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { execPath, kill } from 'node:process'
import {
  type DatabaseVerbs,
  type DriverContext,
  defineDriver,
  RejectedByDatastore,
  type Server,
} from '../../../lib/datastores/driver.ts'
import { codeOf } from '../../../lib/kit/errors.ts'
import { replaceFile } from '../../../lib/kit/os/files.ts'
import { isAlive, processRef } from '../../../lib/kit/os/process.ts'
import { askToy } from './client.ts'
import { toyFiles, toyProcess } from './files.ts'
import { toyManifest } from './manifest.ts'

const POLL_MS = 10
const TRIES = 500

/** The toy on a volume that initVolume made. */
export const toyDriver = defineDriver(toyManifest, context => {
  const databases = databaseVerbs(context)
  return { ...serverVerbs(context, databases), ...databases }
})

const isRefused = (error: unknown) => ['ECONNREFUSED', 'ECONNRESET'].includes(String(codeOf(error)))

function serverVerbs(context: DriverContext, databases: DatabaseVerbs): Server {
  const { volume, clock } = context

  async function waitUntil(condition: () => Promise<boolean>, what: string): Promise<void> {
    for (let tries = 0; !(await condition()); tries++) {
      if (tries >= TRIES) throw new Error(what)
      await clock.sleep(POLL_MS)
    }
  }

  const isReady = () =>
    askToy(context, 'list').then(
      () => true,
      () => false,
    )

  async function launch(): Promise<void> {
    const { data, process: file } = toyFiles(volume)
    const args = [join(context.engine, 'server.ts'), data, context.address, String(context.port)]
    const child = spawn(execPath, args, { cwd: volume, detached: true, stdio: 'ignore', env: {} })
    child.unref()
    await once(child, 'spawn')
    const reference = await processRef(child.pid ?? 0)
    if (!reference) throw new Error('the server ended at once')
    await replaceFile(file, JSON.stringify(reference))
  }

  const server: Server = {
    async start() {
      if (!(await toyProcess(volume))) await launch()
      await waitUntil(isReady, 'the server does not become ready')
    },
    async stop() {
      const running = await toyProcess(volume)
      if (!running) return
      kill(running.pid, 'SIGTERM')
      await waitUntil(async () => !(await isAlive(running)), 'the server does not stop')
    },
    async exited(signal) {
      const running = await toyProcess(volume)
      while (running && !signal.aborted && (await isAlive(running))) await clock.sleep(200, signal)
    },
    async prepare(input) {
      await server.start()
      await databases.create_database(input)
    },
    used_bytes: async () => 4_096,
    isConnectionLost: isRefused,
    diagnostics: () => Promise.reject(new RejectedByDatastore(422, 'The toy has no statistics.')),
  }
  return server
}

function databaseVerbs(context: DriverContext): DatabaseVerbs {
  return {
    async create_database({ databases }) {
      for (const { name } of databases) await askToy(context, `create ${name}`)
    },
    async delete_database({ name }) {
      if ((await askToy(context, `drop ${name}`)) === null) throw new RejectedByDatastore(404, `no database ${name}`)
    },
    async list_databases({ limit, marker = '', include_marker = false }) {
      const names = ((await askToy(context, 'list')) as string[]).filter(
        name => name > marker || (include_marker && name === marker),
      )
      const page = names.slice(0, limit)
      const next = names.length > limit ? page.at(-1) : undefined
      return { items: page.map(name => ({ name })), next }
    },
  }
}
