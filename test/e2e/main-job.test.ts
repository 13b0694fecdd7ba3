import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { type Coffer, createInstance, deleteInstance, processesOf, type Session, startCoffer, wipe } from './coffer.ts'

describe('the main job', () => {
  let coffer: Coffer
  let demo: Session
  beforeAll(async () => {
    coffer = await startCoffer()
    demo = await coffer.login()
  }, 60_000)
  afterAll(async () => {
    expect(await coffer.stop()).toBe(0)
    expect(processesOf(coffer.dataDir)).toEqual([])
    await wipe(coffer.dataDir)
  }, 60_000)

  it('gives a real PostgreSQL that its user can use, and takes it away again', async () => {
    const instance = await createInstance(demo, {
      databases: [{ name: 'cart' }],
      users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
    })
    const [{ address, port = 5432 }] = instance.addresses
    const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
    client.on('error', () => {})
    await client.connect()
    await client.query('CREATE TABLE items (id int)')
    await client.query('INSERT INTO items VALUES (7)')
    expect((await client.query('SELECT id FROM items')).rows).toEqual([{ id: 7 }])
    await deleteInstance(demo, instance.id)
    await expect(
      new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' }).connect(),
    ).rejects.toThrow()
    await client.end().catch(() => {})
  }, 60_000)
})
