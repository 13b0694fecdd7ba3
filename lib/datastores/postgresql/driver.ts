import type { Driver, Site } from '../driver.ts'
import { accessVerbs } from './access.ts'
import { admission, admitFrom } from './admission.ts'
import { checkDatabase, checkUser } from './checks.ts'
import { databaseVerbs } from './databases.ts'
import { diagnosticsOf } from './diagnostics.ts'
import { majorIn } from './engine.ts'
import { bytesUnder, type Owner } from './files.ts'
import { rootVerbs } from './root.ts'
import { SALT_BYTES, scramVerifier } from './scram.ts'
import { postgresqlServer, type Server } from './server.ts'
import { postgresqlSessions, type Sessions, wasLost } from './sessions.ts'
import { setUp } from './setup.ts'
import { sslVerbs } from './ssl.ts'
import { grantUsers, makeUsers, userVerbs } from './users.ts'

const ANSWER_LIMIT = 5_000

async function answers({ clock }: Site, sessions: Sessions): Promise<boolean> {
  const waiting = new AbortController()
  const answer = sessions.ask('SELECT').then(
    () => true,
    () => false,
  )
  const late = clock.sleep(ANSWER_LIMIT, waiting.signal).then(() => false)
  return Promise.race([answer, late]).finally(() => waiting.abort())
}

function statusOf(site: Site, server: Server, sessions: Sessions): Driver['status'] {
  const look: Driver['status'] = async () => {
    if (!(await server.configured())) return 'new'
    await server.boundLog()
    if (!(await server.find())) return (await server.crashed()) ? 'crashed' : 'shutdown'
    const phase = await server.phase()
    if (phase === 'starting') return 'restarting'
    if (phase === 'stopping') return 'shutdown'
    return (await answers(site, sessions)) ? 'healthy' : 'running'
  }
  return () =>
    look().catch(error => {
      site.log.error({ error }, 'the status of the server cannot be told')
      return 'failed' as const
    })
}

/**
 * PostgreSQL on a volume that initCluster made. `owner`: who the server runs as and owns its files, for tests that run
 * as root; an agent has the instance's own uid and leaves it out.
 */
export function postgresqlDriver(site: Site, owner?: Owner): Driver {
  const server = postgresqlServer(site, owner)
  const sessions = postgresqlSessions(site)
  const admit = admission(site.volume, sessions, server, owner)
  const verifier = (password: string) => scramVerifier(password, site.random.bytes(SALT_BYTES))
  const databases = databaseVerbs(sessions, () => majorIn(site.volume))
  const tools = { sessions, admit, verifier }

  return {
    ...databases,
    ...userVerbs(tools),
    ...accessVerbs(sessions),
    ...sslVerbs({ volume: site.volume, server, sessions, owner }),
    start: server.start,
    ended: server.ended,
    status: statusOf(site, server, sessions),
    update_access: admitFrom(site.volume, sessions, admit, owner),
    wasLost,
    used_bytes: () => bytesUnder(site.volume),
    ...rootVerbs(tools),
    diagnostics: () => diagnosticsOf(site.volume, server),

    async prepare(input) {
      const major = await majorIn(site.volume)
      for (const database of input.databases) checkDatabase(database, major)
      for (const user of input.users) checkUser(user)
      await server.start()
      await setUp(sessions, site.volume, site.random, owner)
      // Before there is a user who could come from elsewhere.
      if (input.networks?.length) await admitFrom(site.volume, sessions, admit, owner)(input.networks)
      // Each waits for the disk; together they wait once.
      await Promise.all([databases.create_database(input.databases), makeUsers(tools, input.users)])
      await grantUsers(tools, input.users)
    },

    async stop() {
      await sessions.close()
      await server.stop()
    },
  }
}
