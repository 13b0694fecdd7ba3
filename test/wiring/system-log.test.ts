import { spawnSync } from 'node:child_process'
import { describe, expect, it } from '@jest/globals'

const SYSTEM = new URL('../../lib/wiring/system.ts', import.meta.url).href

/** What a program writes that has a log. */
function written(program: string): string[] {
  const source = `import { systemLog } from '${SYSTEM}'\nconst log = systemLog('test', 'info')\n${program}`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
  return stdout.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line).msg]))
}

describe('the log of a process', () => {
  it('has each line once, in order', () => {
    const program =
      "for (let i = 0; i < 500; i++) { log.info({}, 'line ' + i); if (i % 100 === 0) await new Promise(setImmediate) }"
    expect(written(program)).toEqual(Array.from({ length: 500 }, (_, index) => `line ${index}`))
  })

  it.each([
    ['is told to exit', 'process.exit(0)'],
    ['throws', "throw new Error('uncaught')"],
  ])('is whole when the process %s in the same turn', (_how, end) => {
    expect(written(`log.info({}, 'first'); log.info({}, 'last'); ${end}`)).toEqual(['first', 'last'])
  })
})
