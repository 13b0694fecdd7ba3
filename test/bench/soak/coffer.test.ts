import { spawn } from 'node:child_process'
import { afterEach, describe, expect, it } from '@jest/globals'
import { SoakedCoffer } from '../../../bench/soak/coffer.ts'
import { followProcess, type LaunchedProcess } from '../../e2e/coffer.ts'
import { realClock } from '../../kit/virtual-clock.ts'

/** A control plane that only says that it is ready, ends at `end` of its input, and well at SIGTERM. */
const PROGRAM = `
  process.on('SIGTERM', () => process.exit(0))
  process.stdin.on('data', () => process.exit(3))
  console.log('ready http://127.0.0.1:' + (process.argv.at(-1) === '0' ? 4711 : process.argv.at(-1)))`

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await realClock.sleep(10)
}

describe('a Coffer in a soak', () => {
  let running: SoakedCoffer | undefined
  // Else it would be started again for ever if a test fails.
  afterEach(() => running?.stop())

  const setUp = () => {
    const problems: string[] = []
    const launched: LaunchedProcess[] = []
    const files: string[] = []
    const coffer = new SoakedCoffer({
      ...{ dataDir: '/nowhere/data', logDir: '/nowhere/logs' },
      onProblem: what => problems.push(what),
      launch(args, file) {
        files.push(file)
        const port = String(args[args.indexOf('--port') + 1])
        const child = spawn(process.execPath, ['-e', PROGRAM, '--', port], { stdio: ['pipe', 'pipe', 'inherit'] })
        const launchedProcess = followProcess(child)
        launched.push(launchedProcess)
        return launchedProcess
      },
    })
    running = coffer
    return { coffer, problems, launched, files }
  }

  it('is started again after a kill, at the same port, and was away meanwhile', async () => {
    const { coffer, problems, launched, files } = setUp()
    await coffer.start()
    const ready = Date.now()
    const { base, control } = coffer
    expect(base).toBe('http://127.0.0.1:4711')
    expect(coffer.wasAway(ready + 1, ready + 1)).toBe(false)
    expect(await coffer.kill()).toBe(true)
    // It is gone, and cannot be killed twice.
    expect([await coffer.kill(), coffer.wasAway(Date.now(), Date.now())]).toEqual([false, true])
    await until(() => coffer.starts === 2 && !coffer.wasAway(Date.now(), Date.now()))
    expect([coffer.base, coffer.control?.pid === control?.pid, problems]).toEqual([base, false, []])
    expect(files).toEqual(['/nowhere/logs/control-1.log', '/nowhere/logs/control-2.log'])
    expect(await coffer.stop()).toBe(0)
    expect([launched.length, problems]).toEqual([2, []])
  })

  it('has a problem if it ends by itself, and is started again', async () => {
    const { coffer, problems, launched } = setUp()
    await coffer.start()
    launched[0]?.child.stdin?.write('end')
    await until(() => coffer.starts === 2 && coffer.control !== undefined)
    expect(problems).toEqual(['the control plane ended by itself with 3'])
    await until(() => /ready/.test(launched[1]?.output() ?? ''))
    expect(await coffer.stop()).toBe(0)
  })

  it('stays away if it is killed again as soon as it is ready', async () => {
    const { coffer, problems, launched } = setUp()
    await coffer.start()
    await coffer.kill()
    await until(() => /ready/.test(launched[1]?.output() ?? ''))
    expect(await coffer.kill()).toBe(true)
    const samples: boolean[] = []
    await until(() => {
      samples.push(coffer.wasAway(Date.now(), Date.now()))
      return coffer.starts === 3
    })
    expect(samples).toEqual(samples.map(() => true))
    await until(() => !coffer.wasAway(Date.now(), Date.now()))
    expect(await coffer.stop()).toBe(0)
    expect(problems).toEqual([])
  })
})
