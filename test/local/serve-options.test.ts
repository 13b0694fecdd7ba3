import { describe, expect, it } from '@jest/globals'
import { Unfit } from '../../local/options.ts'
import { readServeOptions, settingsOf } from '../../local/serve-options.ts'

const SETTINGS = {
  COFFER_POSTGRESQL_URL: 'postgres://u:secret@db/coffer',
  COFFER_RABBITMQ_URL: 'amqp://u:secret@mq',
  COFFER_RABBITMQ_MANAGEMENT_URL: 'http://u:secret@mq:15672',
  COFFER_KEY_FILE: '/etc/coffer/master.key',
  PUBLIC_URL: 'https://databases.example.org',
}

describe('the options of serve', () => {
  it('name one part, several, or all', () => {
    const only = (...args: string[]) => readServeOptions(args, false, '/').only
    expect(only('--only', 'gateway', '--port', '1')).toEqual(['gateway'])
    expect(only('--port', '1', '--only=taskmanager,conductor')).toEqual(['taskmanager', 'conductor'])
    expect(only()).toEqual(['gateway', 'taskmanager', 'conductor', 'periodic', 'host'])
    for (const wrong of [['--only'], ['--only', 'queen'], ['--only', 'gateway,'], ['--only', '--port', '1']])
      expect(() => only(...wrong)).toThrow(Unfit)
  })

  it('need --insecure for other addresses only where instances are', () => {
    const at = (...only: string[]) => readServeOptions([...only, '--host', '0.0.0.0'], false, '/').host
    expect(at('--only', 'gateway')).toBe('0.0.0.0')
    expect(() => at('--only', 'host')).toThrow('--insecure')
  })
})

describe('the settings of serve', () => {
  it('are told by name where they are missing or wrong, and never shown', () => {
    expect(settingsOf(SETTINGS)).toMatchObject({ ...SETTINGS, COFFER_POSTGRESQL_CONNECTIONS: 10 })
    const told = (more: Record<string, string | undefined>) => {
      try {
        settingsOf({ ...SETTINGS, ...more })
        return ''
      } catch (error) {
        return String(error)
      }
    }
    expect(told({ PUBLIC_URL: undefined, COFFER_KEY_FILE: '' })).toContain('COFFER_KEY_FILE, PUBLIC_URL')
    expect(told({ COFFER_POSTGRESQL_CONNECTIONS: 'secret' })).toMatch(/^Unfit: .*COFFER_POSTGRESQL_CONNECTIONS/)
    expect(told({ COFFER_POSTGRESQL_CONNECTIONS: 'secret' })).not.toContain('secret')
  })
})
