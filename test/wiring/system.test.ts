import { spawnSync } from 'node:child_process'
import { describe, expect, it } from '@jest/globals'

const SYSTEM = new URL('../../lib/wiring/system.ts', import.meta.url).href

/** The messages that a program with a log writes. */
function messagesOf(program: string): string[] {
  const source = `import { systemLog } from '${SYSTEM}'\nconst log = systemLog('test', 'info')\n${program}`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
  return stdout.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line).msg]))
}

describe('the log of a process', () => {
  it('contains each line once, in order', () => {
    const program =
      "for (let i = 0; i < 500; i++) { log.info({}, 'line ' + i); if (i % 100 === 0) await new Promise(setImmediate) }"
    expect(messagesOf(program)).toEqual(Array.from({ length: 500 }, (_, index) => `line ${index}`))
  })

  it.each([
    ['calls exit', 'process.exit(0)'],
    ['throws', "throw new Error('uncaught')"],
  ])('is complete when the process %s in the same turn', (_how, end) => {
    expect(messagesOf(`log.info({}, 'first'); log.info({}, 'last'); ${end}`)).toEqual(['first', 'last'])
  })

  it('may have no space: its process goes on', () => {
    const source = `import { systemLog } from '${SYSTEM}'
      import { openSync } from 'node:fs'
      const log = systemLog('test', 'info', openSync('/dev/full', 'w'))
      for (let line = 0; line < 3; line++) {
        log.info({}, 'lost')
        await new Promise(setImmediate)
      }
      console.log('goes on')`
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
    expect([stdout, status]).toEqual(['goes on\n', 0])
  })
})
