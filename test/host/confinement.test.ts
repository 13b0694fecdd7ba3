import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
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

  asRoot('is a limit of processes where there are no control groups (as root on Linux only)', async () => {
    const confinement = await detectConfinement(1_500_000_000, { root: '/nowhere', self: '/nowhere' })
    expect(confinement.words).toMatch(/^memory: not bounded; processes: rlimit; cpu: not bounded; end: kill by uid;/)
    const child = spawn('sleep', ['60'], { stdio: 'ignore' })
    await once(child, 'spawn')
    const file = (name: string) => readFileSync(`/proc/${child.pid}/${name}`, 'utf8')
    try {
      await confinement.bound(server, child.pid ?? 0)
      expect(file('limits')).toMatch(/^Max processes +576 +576 /m)
      expect(file('oom_score_adj')).toBe('500\n')
      // A container's root may lack the capability to raise a limit again; the next agent gets the new one.
      const larger = { ...server, flavor: { ramMb: 1024, vcpus: 1 } }
      const processes = await confinement.raise(larger, child.pid).then(
        () => 640,
        () => 576,
      )
      expect(file('limits')).toMatch(new RegExp(`^Max processes +${processes} +${processes} `, 'm'))
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('hands arguments over as they are', () => {
    const args = ['--flag', 'a b', '$(id)', "'"]
    expect(hiddenCommand(1_500_000_001, '/bin/node', args).args.slice(-6)).toEqual(['1500000001', '/bin/node', ...args])
  })
})
