import { describe, expect, it } from '@jest/globals'
import { impostorsAmong } from '../../host/end-impostors.ts'
import type { ServerState } from '../../host/state.ts'
import { server as request } from './daemon-world.ts'

const server = (name: string, uid: number, address: string, port = 5432): ServerState => {
  const { userData: _, ...rest } = request
  return { ...rest, name, uid, address, port }
}
const SERVERS = [server('a', 101, '127.20.0.1'), server('b', 102, '127.20.0.2'), server('c', 103, '127.0.0.1', 40_001)]
const endedFor = (address: string, port: number, uid: number) =>
  impostorsAmong(SERVERS, [{ address, port, uid }], { ports: [5432], network: '127.20' }).map(
    ({ server }) => server.name,
  )

describe('an instance is an impostor', () => {
  it.each([
    ['at the address of another', '127.20.0.2', 5432, 101, ['a']],
    ['at an address that nobody has yet', '127.20.7.7', 5432, 102, ['b']],
    ['at all addresses', '*', 5432, 101, ['a']],
    ["at another's port of the address that several share", '127.0.0.1', 40_001, 101, ['a']],
  ])('if it listens %s', (_, address, port, uid, names) => {
    expect(endedFor(address, port, uid)).toEqual(names)
  })

  it.each([
    ['its own address', '127.20.0.1', 5432, 101],
    ['its own port of the address that several share', '127.0.0.1', 40_001, 103],
    ['another port', '127.20.0.2', 8080, 101],
    ['all addresses, with another port', '*', 8080, 101],
    ['an address of another network', '127.0.0.1', 5432, 101],
  ])('and is none if it has %s', (_, address, port, uid) => {
    expect(endedFor(address, port, uid)).toEqual([])
  })

  it('and no other user of the machine is one', () => {
    expect(endedFor('127.20.0.2', 5432, 1_000)).toEqual([])
    expect(endedFor('127.20.0.2', 5432, 0)).toEqual([])
  })
})
