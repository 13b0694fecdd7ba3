import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { configText, settingsFor } from '../../../../lib/datastores/postgresql/rules/settings.ts'

const site = { address: '127.0.0.9', port: 5432 }
const megabytes = (value: string | number | undefined) => Number(String(value).replace('MB', ''))

describe('settings', () => {
  it('fit every flavor', () => {
    fc.assert(
      fc.property(fc.integer({ min: 128, max: 1 << 20 }), fc.integer({ min: 1, max: 256 }), (ramMb, vcpus) => {
        const settings = settingsFor({ ...site, flavor: { ramMb, vcpus } })
        expect(megabytes(settings['shared_buffers'])).toBeLessThanOrEqual(ramMb / 4 + 1)
        expect(megabytes(settings['work_mem'])).toBeGreaterThanOrEqual(4)
        expect(Number(settings['max_connections'])).toBeGreaterThan(20)
        expect(megabytes(settings['min_wal_size'])).toBeLessThan(megabytes(settings['max_wal_size']))
        expect(() => configText(settings)).not.toThrow()
      }),
    )
  })

  it('cannot contain a line break or another setting', () => {
    expect(configText({ search_path: "a'b\\c" })).toContain("search_path = 'a''b\\\\c'\n")
    expect(() => configText({ search_path: "a'\narchive_command = 'x" })).toThrow('search_path')
    expect(() => configText({ 'a = b #': 1 })).toThrow()
  })

  it('contain only those that the major version knows', () => {
    const where = { flavor: { ramMb: 512, vcpus: 1 }, address: '127.0.0.1', port: 5432 }
    const versioned = ['reserved_connections', 'allow_alter_system', 'io_method']
    const versionedSettings = (major: number) => versioned.filter(name => name in settingsFor(where, major))
    expect([15, 16, 17, 18].map(versionedSettings)).toEqual([
      [],
      versioned.slice(0, 1),
      versioned.slice(0, 2),
      versioned,
    ])
  })
})
