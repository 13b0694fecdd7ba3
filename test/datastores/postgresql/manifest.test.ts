import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { networkOf } from '../../../lib/datastores/postgresql/hosts.ts'
import { localeOf } from '../../../lib/datastores/postgresql/locales.ts'
import { postgresql } from '../../../lib/datastores/postgresql/manifest.ts'

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
    const of = (ramMb: number, vcpus: number) => postgresql.defaultConfiguration({ ramMb, vcpus }, '18')
    expect(of(512, 1)).toMatchObject({ shared_buffers: '128MB', max_connections: 64, max_parallel_workers: 1 })
    expect(of(4096, 2)).toMatchObject({ shared_buffers: '1024MB', max_connections: 512, max_parallel_workers: 2 })
  })

  it('tells nothing of where the server is', () => {
    const shown = postgresql.defaultConfiguration({ ramMb: 512, vcpus: 1 }, '18')
    for (const name of ['listen_addresses', 'port', 'unix_socket_directories']) expect(shown).not.toHaveProperty(name)
    expect(JSON.stringify(shown)).not.toMatch(/127\.|\/|password"/)
  })
})
