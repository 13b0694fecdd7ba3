import type { Manifest } from '../manifest.ts'
import { badHost } from './hosts.ts'
import { badLocale } from './locales.ts'
import { badName, badRoleName } from './names.ts'
import { badUpgrade } from './upgrades.ts'

/** PostgreSQL, as the control plane knows it. */
export const postgresql: Manifest = {
  id: '6f1c0a52-9c1e-4d3b-8a57-2f0b7d5e1a10',
  name: 'postgresql',
  manager: 'postgresql',
  defaultVersion: '18',
  versions: [{ id: 'c2a4b9de-4a57-4f0e-9b61-7d3e5c8f1b18', name: '18', version: '18.4', active: true }],
  port: 5432,
  reserved: {
    databases: ['postgres', 'template0', 'template1', 'os_admin'],
    users: ['postgres', 'os_admin', 'os_maint', 'os_former'],
    userPrefixes: ['pg_'],
  },
  badDatabaseName: badName,
  badUserName: badRoleName,
  badLocale,
  badUpgrade,
  badHost,
}
