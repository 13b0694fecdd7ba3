import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import * as promises from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { systemClock, systemRandom } from '../../../lib/wiring/system.ts'
import { silentLog } from '../random.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-synced-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** What was done to which paths, in order: `sync` is the wait for the disk. */
let done: string[]
beforeEach(() => {
  done = []
})
const relativePath = (path: unknown) => relative(directory, String(path)) || '.'

jest.unstable_mockModule('node:fs/promises', () => ({
  ...promises,
  async rename(from: string, to: string) {
    await promises.rename(from, to)
    done.push(`rename ${relativePath(to)}`)
  },
  async link(from: string, to: string) {
    await promises.link(from, to)
    done.push(`link ${relativePath(to)}`)
  },
  async open(path: string, ...rest: [string, number]) {
    const file = await promises.open(path, ...rest)
    const { sync } = file
    file.sync = async () => {
      await sync.call(file)
      done.push(`sync ${relativePath(path)}`)
    }
    return file
  },
}))
const { replaceFile, moveInto } = await import('../../../lib/kit/os/files.ts')
const { keyfileSecrets } = await import('../../../lib/platform/secrets/keyfile/secrets.ts')

describe('a file that was given its name', () => {
  it('has it on the disk when replaceFile ends, after its content', async () => {
    await replaceFile(join(directory, 'a'), 'x')
    expect(done).toEqual([expect.stringMatching(/^sync a\..*\.new$/), 'rename a', 'sync .'])
  })

  it('has it there when it was moved from another folder, which has it no longer', async () => {
    mkdirSync(join(directory, 'from'))
    await replaceFile(join(directory, 'from', 'e'), 'x')
    done = []
    await moveInto(join(directory, 'from', 'e'), join(directory, 'e'))
    expect(done).toEqual(['rename e', 'sync .', 'sync from'])
  })

  it('is the key file before its key is used', async () => {
    await keyfileSecrets({
      path: join(directory, 'master.key'),
      random: systemRandom,
      clock: systemClock,
      log: silentLog,
    }).current()
    expect(done).toEqual([expect.stringMatching(/^sync master\.key\..*tmp$/), 'link master.key', 'sync .'])
  })
})
