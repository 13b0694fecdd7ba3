import { messageOf } from '../../kit/errors.ts'
import type { Owner } from '../../kit/os/files.ts'
import type { Driver, DriverContext } from '../driver.ts'
import { readMajor } from './cluster/cluster.ts'
import { bytesUnder } from './cluster/files.ts'
import { checkDatabase, checkUser } from './rules/checks.ts'
import { readDiagnostics } from './server/diagnostics.ts'
import { HbaWriter } from './server/hba-writer.ts'
import { PostgresqlServer } from './server/server.ts'
import { SALT_BYTES, scramVerifier } from './sql/scram.ts'
import { isConnectionLost, PostgresqlSessions } from './sql/sessions.ts'
import { accessVerbs } from './verbs/access.ts'
import { databaseVerbs } from './verbs/databases.ts'
import { createServiceRoles } from './verbs/roles.ts'
import { rootVerbs } from './verbs/root.ts'
import { tlsVerbs } from './verbs/tls.ts'
import { createUsers, grantUsers, userVerbs } from './verbs/users.ts'

/**
 * PostgreSQL on a volume that initCluster made. `owner` runs the server and owns its files, for tests that run as root;
 * an agent has the instance's own uid and leaves it out.
 */
export function postgresqlDriver(context: DriverContext, owner?: Owner): Driver {
  const { volume, random, log } = context
  const server = new PostgresqlServer(context, owner)
  const sessions = new PostgresqlSessions(context)
  const hba = new HbaWriter({ volume, sessions, server, owner })
  const verifier = (password: string) => scramVerifier(password, random.bytes(SALT_BYTES))
  const verbContext = { sessions, hba, verifier }
  const databases = databaseVerbs(sessions, () => readMajor(volume))

  return {
    ...databases,
    ...userVerbs(verbContext),
    ...accessVerbs(sessions),
    ...tlsVerbs({ volume, server, sessions, owner }),
    ...rootVerbs(verbContext),
    start: () => server.start(),
    exited: signal => server.exited(signal),
    update_access: networks => hba.setNetworks(networks),
    diagnostics: () => readDiagnostics(volume, server),
    isConnectionLost,

    async used_bytes() {
      await server.boundLog().catch(error => log.warn({ error: messageOf(error) }, "emptying the server's log failed"))
      return bytesUnder(volume)
    },

    async prepare({ databases: databaseSpecs, users, networks }) {
      const major = await readMajor(volume)
      for (const database of databaseSpecs) checkDatabase(database, major)
      for (const user of users) checkUser(user)
      await server.start()
      await createServiceRoles({ sessions, volume, random, owner })
      // Before there is a user who could connect from elsewhere.
      if (networks?.length) await hba.setNetworks(networks)
      // Each waits for the disk; together they wait once.
      await Promise.all([databases.create_database(databaseSpecs), createUsers(verbContext, users)])
      await grantUsers(verbContext, users)
    },

    async stop() {
      await sessions.close()
      await server.stop()
    },
  }
}
