import { messageOf } from '../../kit/errors.ts'
import { type AccessVerbs, defineDriver } from '../driver.ts'
import { readMajor } from './cluster/cluster.ts'
import { bytesUnder } from './cluster/files.ts'
import { postgresqlManifest } from './manifest.ts'
import { checkDatabase, checkUser } from './rules/checks.ts'
import { readDiagnostics } from './server/diagnostics.ts'
import { HbaWriter } from './server/hba-writer.ts'
import { PostgresqlServer } from './server/server.ts'
import { SALT_BYTES, scramVerifier } from './sql/scram.ts'
import { isConnectionLost, PostgresqlSessions } from './sql/sessions.ts'
import { grantVerbs } from './verbs/access.ts'
import { databaseVerbs } from './verbs/databases.ts'
import { secureRoot } from './verbs/former-superuser.ts'
import { createServiceRoles } from './verbs/roles.ts'
import { rootVerbs } from './verbs/root.ts'
import { tlsVerbs } from './verbs/tls.ts'
import { createUsers, grantUsers, userVerbs } from './verbs/users.ts'

/** PostgreSQL on a volume that initCluster made. */
export const postgresqlDriver = defineDriver(postgresqlManifest, context => {
  const { volume, random, log, owner } = context
  const server = new PostgresqlServer(context)
  const sessions = new PostgresqlSessions(context)
  const hba = new HbaWriter({ volume, sessions, server, owner })
  const verifier = (password: string) => scramVerifier(password, random.bytes(SALT_BYTES))
  const verbContext = { sessions, hba, verifier }
  const access: AccessVerbs = { update_access: ({ allowed_cidrs }) => hba.setNetworks(allowed_cidrs) }
  const major = () => readMajor(volume)
  // The machine may change it while the agent runs.
  const mode = () => context.root ?? 'administrator'
  const databases = databaseVerbs(sessions, major)

  return {
    ...databases,
    ...userVerbs(verbContext),
    ...grantVerbs(sessions),
    ...access,
    ...tlsVerbs({ volume, server, sessions, owner }),
    ...rootVerbs({ ...verbContext, mode, major }),

    async start() {
      await server.start()
      await secureRoot({ sessions, log, volume, random, owner, mode: mode(), major: await major() })
    },

    exited: signal => server.exited(signal),
    diagnostics: () => readDiagnostics(volume, server),
    isConnectionLost,

    async used_bytes() {
      await server.boundLog().catch(error => log.warn({ error: messageOf(error) }, "emptying the server's log failed"))
      return bytesUnder(volume)
    },

    async set_read_only(isReadOnly) {
      context.isReadOnly = isReadOnly
      await server.configure()
      await server.reload()
    },

    async prepare({ databases: databaseSpecs, users, allowed_cidrs: networks = [] }) {
      const version = await major()
      for (const database of databaseSpecs) checkDatabase(database, version)
      for (const user of users) checkUser(user)
      await server.start()
      await createServiceRoles({ sessions, volume, random, owner })
      // Before there is a user who could connect from elsewhere.
      if (networks.length > 0) await hba.setNetworks(networks)
      // Each waits for the disk; together they wait once.
      await Promise.all([databases.create_database({ databases: databaseSpecs }), createUsers(verbContext, users)])
      await grantUsers(verbContext, users)
    },

    async stop() {
      await sessions.close()
      await server.stop()
    },
  }
})
