import { afterEach, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import {
  active,
  type Coffer,
  createInstance,
  launch,
  processesOf,
  startCoffer,
  tempDir,
  until,
  wipe,
} from './coffer.ts'

const USERS = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}

let coffer: Coffer | undefined
afterEach(async () => {
  if (coffer) await wipe(coffer.dataDir)
}, 60_000)

async function ask(
  { addresses }: { addresses: { address: string; port?: number }[] },
  text: string,
): Promise<unknown[]> {
  const [{ address, port = 5432 } = { address: '' }] = addresses
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

describe('a clean end', () => {
  it('stops everything on SIGTERM; the next start brings instances back with data and address', async () => {
    coffer = await startCoffer()
    const made = await createInstance(await coffer.login(), USERS)
    await ask(made, 'CREATE TABLE items AS SELECT 7 AS id')
    expect(await coffer.stop()).toBe(0)
    expect(processesOf(coffer.dataDir)).toEqual([])
    coffer = await startCoffer(coffer.dataDir)
    const back = await active(await coffer.login(), made.id)
    expect(back.addresses).toEqual(made.addresses)
    expect(await ask(back, 'SELECT id FROM items')).toEqual([{ id: 7 }])
    expect(await coffer.stop()).toBe(0)
  }, 60_000)

  it('goes on with a create at the next start', async () => {
    coffer = await startCoffer()
    const demo = await coffer.login()
    const asked = await demo.call('POST', '/instances', {
      instance: { name: 'shop', flavorRef: 1, volume: { size: 1 }, ...USERS },
    })
    expect(await coffer.stop()).toBe(0)
    expect(processesOf(coffer.dataDir)).toEqual([])
    coffer = await startCoffer(coffer.dataDir)
    expect(await ask(await active(await coffer.login(), asked.body.instance.id), 'SELECT 1 AS one')).toEqual([
      { one: 1 },
    ])
    expect(await coffer.stop()).toBe(0)
  }, 60_000)

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'takes %s twice, and while it still starts',
    async signal => {
      const dataDir = `${tempDir()}/data`
      const { child, exited, output } = launch(['--data-dir', dataDir, '--port', '0'])
      // The daemon runs before anybody is told that all is ready.
      await until(
        'daemon',
        async () => output().includes('ready') || processesOf(dataDir).some(({ args }) => args.includes('host.json')),
      )
      child.kill(signal)
      child.kill(signal)
      expect(await exited).toBe(0)
      expect(processesOf(dataDir)).toEqual([])
      await wipe(dataDir)
    },
    60_000,
  )
})
