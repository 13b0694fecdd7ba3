import { expect, it } from '@jest/globals'
import { CART, ownCloud } from './cloud.ts'
import { createInstance, deleteInstance } from './coffer.ts'
import { connect } from './fault-injection.ts'

const { demo } = ownCloud(['--spares', '0'])

it('creates a PostgreSQL that its user can use, and deletes it', async () => {
  const instance = await createInstance(demo, CART)
  const client = await connect(instance)
  await client.query('CREATE TABLE items (id int)')
  await client.query('INSERT INTO items VALUES (7)')
  expect((await client.query('SELECT id FROM items')).rows).toEqual([{ id: 7 }])
  await deleteInstance(demo, instance.id)
  await expect(connect(instance)).rejects.toThrow()
  await client.end().catch(() => {})
})
