import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { type Cluster, newCluster } from '../cluster.ts'

jest.setTimeout(60_000)

describe.each(['15', '18'])('a database of PostgreSQL %s whose deletion was interrupted', version => {
  let cluster: Cluster
  beforeEach(async () => {
    cluster = await newCluster(version)
    const databases = [{ name: 'app' }, { name: 'stock' }]
    const users = [{ name: 'ann', password: 'pw1', databases }]
    await cluster.driver.prepare({ datastore_version: version, databases, users })
    const ann = await cluster.connect('ann', 'pw1', 'app')
    await ann.query('CREATE TABLE kept AS SELECT 7 AS value')
    const maint = await cluster.superuser()
    // What DROP DATABASE does first: nobody can connect from then on, and only another DROP helps.
    await maint.query("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'stock'")
  })
  afterEach(() => cluster?.remove())

  it('is deleted at the next start, so that its users can be deleted; others are left alone', async () => {
    await cluster.driver.stop()
    await cluster.driver.start()
    expect(await cluster.driver.list_databases({ limit: 9 })).toMatchObject({ items: [{ name: 'app' }] })
    const maint = await cluster.superuser('app')
    expect((await maint.query('SELECT value FROM kept')).rows).toEqual([{ value: 7 }])
    await cluster.driver.delete_user({ name: 'ann' })
    expect((await cluster.driver.list_users({ limit: 9 })).items).toEqual([])
  })
})
