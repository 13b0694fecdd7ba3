import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { platform, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { tcpListeners } from '../../host/listeners.ts'

const HEADER = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const line = (local: string, state: string, uid: number) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000 ${uid}        0 4711 1 0 100 0 0 10 0\n`

describe('the listeners of a machine', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'coffer-listeners-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('are read from the tables of the kernel, IPv4 in either', async () => {
    const connected = line('0100007F:1538', '01', 9)
    writeFileSync(
      join(folder, 'tcp'),
      HEADER + line('0500147F:1538', '0A', 7) + line('00000000:0016', '0A', 0) + connected,
    )
    const all = line(`${'0'.repeat(32)}:1538`, '0A', 8)
    const mapped = line('0000000000000000FFFF00000100007F:1F90', '0A', 5)
    const six = line('00000000000000000000000001000000:1538', '0A', 6)
    writeFileSync(join(folder, 'tcp6'), HEADER + all + mapped + six)
    expect(await tcpListeners(folder)).toEqual([
      { address: '127.20.0.5', port: 5432, uid: 7 },
      { address: '*', port: 22, uid: 0 },
      { address: '*', port: 5432, uid: 8 },
      { address: '127.0.0.1', port: 8080, uid: 5 },
    ])
  })

  it('are none where the system has no such tables', async () => {
    expect(await tcpListeners(join(folder, 'missing'))).toEqual([])
  })

  const onLinux = platform() === 'linux' ? it : it.skip
  onLinux('are those that there are (on Linux only)', async () => {
    const server = createServer().listen(0, '127.77.1.2')
    await once(server, 'listening')
    const { port } = Object(server.address())
    expect(await tcpListeners()).toContainEqual({ address: '127.77.1.2', port, uid: process.getuid?.() })
    server.close()
  })
})
