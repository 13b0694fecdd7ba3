import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { query } from './api-helpers.ts'
import { waitUntilClean } from './assert-clean.ts'
import { ANN, CART, ownCloud } from './cloud.ts'
import { createInstance, deleteInstance, until, waitUntilActive } from './coffer.ts'
import { databasePids, type Instance, sendSignal } from './fault-injection.ts'

const { coffer, demo, admin } = ownCloud(['--spares', '0'])

const dataOf = ({ id }: Instance) => join(coffer.dataDir, 'volumes', `volume-${id}-1`, 'data')
/** A file without which a server cannot start. */
const controlFile = (instance: Instance) => join(dataOf(instance), 'global', 'pg_control')

function killDatabase({ id }: Instance): void {
  const [server] = databasePids(coffer, `volume-${id}-1`)
  if (server === undefined) throw new Error('no database runs')
  sendSignal(server, 'SIGKILL')
}

function waitForOperatingStatus(instance: Instance, status: string): Promise<Instance> {
  return until(`${status} instance`, async () => {
    const { body } = await demo.call('GET', `/instances/${instance.id}`)
    return body.instance.operating_status === status && body.instance
  })
}

/** Kills the database, which cannot start again: its control file is put away. Returns how to put it back. */
function breakDatabase(instance: Instance): () => void {
  const file = controlFile(instance)
  renameSync(file, `${file}.away`)
  killDatabase(instance)
  return () => renameSync(`${file}.away`, file)
}

async function usedSpace({ id }: Instance): Promise<{ used?: number; used_percent?: number }> {
  return (await demo.call('GET', `/instances/${id}`)).body.instance.volume
}

let restarting: Instance
let failing: Instance
let growing: Instance
let usedBefore: number
let filled: Promise<unknown>

// The slow parts start here: an agent gives up a database, and another one reports its volume every ten seconds.
beforeAll(async () => {
  const created = await Promise.all([1, 2, 3].map(() => createInstance(demo, CART)))
  ;[restarting, failing, growing] = created
  breakDatabase(failing)
  usedBefore = await until('used space', async () => (await usedSpace(growing)).used)
  // 100 MiB that do not compress, in a table without WAL.
  const rows = 'generate_series(1, 400) n, generate_series(1, 8192) m'
  const text = `SELECT string_agg(md5(n::text || m::text), '') AS text FROM ${rows} GROUP BY n`
  filled = query(growing, ANN, `CREATE UNLOGGED TABLE big AS ${text}`)
})

describe('a database that dies', () => {
  it('is SHUTDOWN with the reason until its agent has restarted it, then HEALTHY without a fault', async () => {
    const { id } = restarting
    await query(restarting, ANN, 'CREATE TABLE items AS SELECT 7 AS id')
    const repair = breakDatabase(restarting)
    const down = await waitForOperatingStatus(restarting, 'SHUTDOWN')
    expect(down.status).toBe('ACTIVE')
    expect(down.fault.message).toMatch(/^The database server (ended unexpectedly|does not start)/)
    expect((await demo.call('GET', `/instances/${id}/databases`)).status).toBe(422)
    repair()
    const back = await waitUntilActive(demo, id)
    expect(back.fault).toBeUndefined()
    expect(await query(back, ANN, 'SELECT id FROM items')).toEqual([{ id: 7 }])
    await deleteInstance(demo, id)
  })

  it('is FAILED with the reason once its agent gives up, and can be deleted', async () => {
    const { id } = failing
    const failed = await waitForOperatingStatus(failing, 'FAILED')
    expect(failed.status).toBe('ACTIVE')
    // The reason in the server's own words.
    expect(failed.fault.message).toMatch(
      /^The database server was given up: the server did not start: .*could not find the database system/,
    )
    expect(failed.fault.details).toBeNull()
    const { instance } = (await admin.call('GET', `/instances/${id}`)).body
    expect(instance.fault.details).toMatch(/pg_control/)
    const databases = [{ name: 'x' }]
    expect((await demo.call('POST', `/instances/${id}/databases`, { databases })).status).toBe(422)
    await deleteInstance(demo, id)
  })
})

describe('the used space of a volume', () => {
  it('is reported as it grows', async () => {
    await filled
    const grown = await until('more used space', async () => {
      const { used = 0, used_percent } = await usedSpace(growing)
      return used > usedBefore + 0.05 && { used, used_percent }
    })
    expect(grown.used_percent).toBeCloseTo(100 * grown.used, 0)
    await deleteInstance(demo, growing.id)
    await waitUntilClean(coffer)
  })
})
