import { postgresqlServer } from '../../../lib/datastores/postgresql/server.ts'
import { postgresqlSessions } from '../../../lib/datastores/postgresql/sessions.ts'
import { setUp } from '../../../lib/datastores/postgresql/setup.ts'
import { newCluster } from './cluster.ts'

const t = async (n, f) => {
  const s = performance.now()
  const r = await f()
  console.log(n, (performance.now() - s).toFixed(1))
  return r
}
const owner = { uid: 65534, gid: 65534 }
const c = await newCluster()
try {
  const server = postgresqlServer(c.site, owner),
    s = postgresqlSessions(c.site)
  await t('start', () => server.start())
  await t('setup', () => setUp(s, c.site.volume, c.site.random, owner))
  await t('setup again', () => setUp(s, c.site.volume, c.site.random, owner))
  await t('ask', () => s.ask('select 1'))
  await t('ask', () => s.ask('select 1'))
  await t('create db', () => c.driver.create_database([{ name: 'app' }]))
  await t('create user', () => c.driver.create_user([{ name: 'alice', password: 's', databases: [] }]))
  await t('grant', () => c.driver.grant_access('alice', undefined, ['app']))
  for (let i = 0; i < 4; i++) await t('connect', () => s.within('os_admin', 'postgres', async () => {}))
  for (let i = 0; i < 4; i++) await t('connect app', () => s.within('os_admin', 'app', async () => {}))
  await s.within('os_admin', 'postgres', async cl => {
    await t('create raw', () => cl.query('create database r1'))
    await t('revoke', () => cl.query('revoke all on database r1 from public'))
    await t('create raw', () => cl.query('create database r2'))
    await t('role', () => cl.query('create role x1 login'))
  })
  for (let i = 0; i < 12; i++) await t('list_users', () => c.driver.list_users({ limit: 20 }))
  await s.close()
} finally {
  await c.remove()
}
