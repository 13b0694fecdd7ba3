import { describe, expect, it } from '@jest/globals'
import { StartupError } from '../../local/options.ts'
import { readServeOptions, settingsOf } from '../../local/serve-options.ts'

const SETTINGS = {
  COFFER_POSTGRESQL_URL: 'postgres://u:secret@db/coffer',
  COFFER_RABBITMQ_URL: 'amqp://u:secret@mq',
  COFFER_RABBITMQ_MANAGEMENT_URL: 'http://u:secret@mq:15672',
  COFFER_KEY_FILE: '/etc/coffer/master.key',
  PUBLIC_URL: 'https://databases.example.org',
}

describe('the options of serve', () => {
  it('select one part, several, or all', () => {
    const only = (...args: string[]) => readServeOptions(args, false, '/').only
    expect(only('--only', 'gateway', '--port', '1')).toEqual(['gateway'])
    expect(only('--port', '1', '--only=taskmanager,conductor')).toEqual(['taskmanager', 'conductor'])
    expect(only()).toEqual(['gateway', 'taskmanager', 'conductor', 'periodic', 'host'])
    for (const wrong of [['--only'], ['--only', 'queen'], ['--only', 'gateway,'], ['--only', '--port', '1']])
      expect(() => only(...wrong)).toThrow(StartupError)
  })

  it('require --insecure for other addresses only where instances run', () => {
    const hostOf = (...only: string[]) => readServeOptions([...only, '--host', '0.0.0.0'], false, '/').host
    expect(hostOf('--only', 'gateway')).toBe('0.0.0.0')
    expect(() => hostOf('--only', 'host')).toThrow('--insecure')
  })

  it('include those of npm start, --spares of the host among them', () => {
    expect(readServeOptions(['--only', 'host', '--spares', '0'], true, '/')).toMatchObject({
      only: ['host'],
      spares: 0,
    })
    expect(readServeOptions(['--only', 'host'], true, '/').spares).toBe(2)
    expect(readServeOptions(['--only', 'host', '--host-id', 'b'], true, '/').hostId).toBe('b')
  })

  it('start one host only', () => {
    expect(() => readServeOptions(['--only', 'host', '--hosts', '2'], true, '/')).toThrow('--only host --host-id')
  })
})

describe('the settings of serve', () => {
  it('are named in the error when missing or wrong, without their values', () => {
    expect(settingsOf(SETTINGS)).toMatchObject({ ...SETTINGS, COFFER_POSTGRESQL_CONNECTIONS: 10 })
    const errorFor = (settings: Record<string, string | undefined>) => {
      try {
        settingsOf({ ...SETTINGS, ...settings })
        return ''
      } catch (error) {
        return String(error)
      }
    }
    expect(errorFor({ PUBLIC_URL: undefined, COFFER_KEY_FILE: '' })).toContain('COFFER_KEY_FILE, PUBLIC_URL')
    expect(errorFor({ COFFER_POSTGRESQL_CONNECTIONS: 'secret' })).toMatch(
      /^StartupError: .*COFFER_POSTGRESQL_CONNECTIONS/,
    )
    expect(errorFor({ COFFER_POSTGRESQL_CONNECTIONS: 'secret' })).not.toContain('secret')
  })
})
