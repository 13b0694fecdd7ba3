import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { hasSocket, socketName } from '../../../../lib/datastores/postgresql/cluster/socket.ts'
import { withShortPath } from '../../../../lib/kit/os/short-path.ts'

describe("a server's socket", () => {
  let base: string
  let data: string
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'coffer-socket-'))
    data = join(base, 'x'.repeat(180))
    mkdirSync(data)
  })
  afterEach(() => rmSync(base, { recursive: true }))
  const links = () => readdirSync(tmpdir()).filter(name => name.startsWith('coffer-link-'))

  const systems = process.platform === 'linux' ? (['linux', 'darwin'] as const) : (['darwin'] as const)
  it.each(systems)('is reached in a folder with a long path, on %s', async system => {
    const before = links()
    const server = createServer(socket => socket.end('hello'))
    const bytes = await withShortPath(
      data,
      async folder => {
        server.listen(join(folder, socketName(5432)))
        await once(server, 'listening')
        expect(await hasSocket(data, 5432)).toBe(true)
        const [chunk] = await once(connect(join(folder, socketName(5432))), 'data')
        return String(chunk)
      },
      system,
    )
    expect(bytes).toBe('hello')
    server.close()
    expect(links()).toEqual(before)
  })

  it.each(systems)('cannot be reached where the folder is missing, on %s', async system => {
    const work = (folder: string) => once(connect(join(folder, socketName(5432))), 'connect')
    await expect(withShortPath(join(base, 'missing'), work, system)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('is no other file', async () => {
    expect(await hasSocket(data, 5432)).toBe(false)
    writeFileSync(join(data, socketName(5432)), '')
    expect(await hasSocket(data, 5432)).toBe(false)
  })
})
