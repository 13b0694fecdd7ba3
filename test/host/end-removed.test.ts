import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { platform, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { endRemoved } from '../../host/end-removed.ts'
import { realClock } from '../kit/virtual-clock.ts'

async function sleeper(cwd: string): Promise<ChildProcess> {
  const child = spawn('sleep', ['60'], { cwd, detached: true, stdio: 'ignore' })
  await once(child, 'spawn')
  return child
}

// Other systems do not say where a process works.
const onLinux = platform() === 'linux' ? it : it.skip

describe('the end of a data directory that was removed', () => {
  it.each(['', '/', 'data', '/data/'])('refuses the path %j, below which others may work', async path => {
    await expect(endRemoved(path, [], realClock)).rejects.toThrow('not the real path')
  })

  onLinux('ends what worked below it, such as the making of a spare, and nothing else', async () => {
    const base = realpathSync(mkdtempSync(join(tmpdir(), 'coffer-removed-')))
    const folders = ['data/spares/draft-1', 'data-2/spares/draft-1', 'other'].map(name => join(base, name))
    for (const folder of folders) mkdirSync(folder, { recursive: true })
    const children = await Promise.all(folders.map(sleeper))
    const [spare, ...others] = children
    const ended = spare && once(spare, 'exit')
    try {
      for (const name of ['data', 'data-2']) rmSync(join(base, name), { recursive: true })
      // Another Coffer began at the same path.
      mkdirSync(join(base, 'data', 'spares', 'draft-2'), { recursive: true })
      others.push(await sleeper(join(base, 'data', 'spares', 'draft-2')))
      await endRemoved(join(base, 'data'), [], realClock)
      await ended
      expect(others.map(child => [child.exitCode, child.signalCode])).toEqual(others.map(() => [null, null]))
    } finally {
      for (const child of [...children, ...others]) child.kill('SIGKILL')
      rmSync(base, { recursive: true })
    }
  })
})
