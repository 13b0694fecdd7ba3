import { platform } from 'node:os'
import { describe, expect, it } from '@jest/globals'
import { detectConfinement, hiddenCommand, UNCONFINED } from '../../host/confinement.ts'

const server = { name: 'server-i1-1', uid: 1_500_000_001, flavor: { ramMb: 512, vcpus: 1 } }

describe('the confinement of instances', () => {
  it('is none where they have no uids, and does nothing', async () => {
    const none = await detectConfinement(undefined)
    expect(none).toBe(UNCONFINED)
    await none.bound(server, process.pid)
    await none.raise(server, process.pid)
    await none.end(server)
    await none.release(server)
  })

  const asRoot = process.getuid?.() === 0 && platform() === 'linux' ? it : it.skip
  asRoot('says of each resource by what it is bounded (as root on Linux only)', async () => {
    const { words } = await detectConfinement(1_500_000_000)
    const means = '(cgroup v[12]|not bounded)'
    expect(words).toMatch(
      new RegExp(
        `^memory: ${means}; processes: (${means}|rlimit); cpu: ${means}; end: .*kill by uid; other processes: (hidden|seen)$`,
      ),
    )
  })

  it('hands arguments over as they are', () => {
    const args = ['--flag', 'a b', '$(id)', "'"]
    expect(hiddenCommand(1_500_000_001, '/bin/node', args).args.slice(-6)).toEqual(['1500000001', '/bin/node', ...args])
  })
})
