import { newCluster } from '/work/main/test/datastores/postgresql/cluster.ts'

const t = async (n, f) => {
  const s = performance.now()
  const r = await f()
  console.log(n, (performance.now() - s).toFixed(1))
  return r
}
const c = await t('newCluster(copy+initdb)', newCluster)
try {
  await t('prepare', () =>
    c.driver.prepare({
      databases: [{ name: 'app' }],
      users: [{ name: 'alice', password: 'secret', databases: [{ name: 'app' }] }],
    }),
  )
  await t('status', () => c.driver.status())
  await t('list_users', () => c.driver.list_users({ limit: 20 }))
  for (let i = 0; i < 5; i++) await t('list_users', () => c.driver.list_users({ limit: 20 }))
  console.log(JSON.stringify(await c.driver.list_users({ limit: 20 })))
  for (let i = 0; i < 3; i++) await t('list_databases', () => c.driver.list_databases({ limit: 20 }))
  await t('create_database', () => c.driver.create_database([{ name: 'b1' }]))
  await t('create_user', () => c.driver.create_user([{ name: 'b1', password: 'x', databases: [] }]))
  await t('create_user+grant', () => c.driver.create_user([{ name: 'b2', password: 'x', databases: [{ name: 'b1' }] }]))
  await t('delete_user', () => c.driver.delete_user('b2'))
  await t('delete_db', () => c.driver.delete_database('b1'))
  await t('used', () => c.driver.used_bytes().then(console.log))
  const { execSync } = await import('node:child_process')
  console.log(
    execSync(
      `for p in ${c.pid()} $(pgrep -P ${c.pid()}); do echo $p $(tr '\\0' ' ' < /proc/$p/cmdline | head -c 60) $(grep -h Rss: /proc/$p/smaps_rollup) $(grep -h ^Pss: /proc/$p/smaps_rollup); done`,
    ).toString(),
  )
  await t('stop', () => c.driver.stop())
  await t('start', () => c.driver.start())
  await t('status', () => c.driver.status())
  await t('stop', () => c.driver.stop())
  await t('start', () => c.driver.start())
} finally {
  await c.remove()
}
