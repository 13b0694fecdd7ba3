import type { Manifest } from '../manifest.ts'
import { hostProblem } from './rules/host-patterns.ts'
import { localeProblem } from './rules/locales.ts'
import { majorOf, NEWEST_MAJOR } from './rules/major.ts'
import { nameProblem, roleNameProblem } from './rules/names.ts'
import { publicSettings } from './rules/settings.ts'
import { upgradeProblem } from './rules/upgrades.ts'

/** PostgreSQL for the control plane. */
export const postgresqlManifest = {
  id: '6f1c0a52-9c1e-4d3b-8a57-2f0b7d5e1a10',
  name: 'postgresql',
  manager: 'postgresql',
  defaultVersion: '18',
  versions: [
    { id: 'c2a4b9de-4a57-4f0e-9b61-7d3e5c8f1b15', name: '15', version: '15.18', active: true },
    { id: 'c2a4b9de-4a57-4f0e-9b61-7d3e5c8f1b16', name: '16', version: '16.14', active: true },
    { id: 'c2a4b9de-4a57-4f0e-9b61-7d3e5c8f1b17', name: '17', version: '17.10', active: true },
    // An older minor version, from which instances can be upgraded.
    { id: 'c2a4b9de-4a57-4f0e-9b61-7d3e5c8f1183', name: '18.3', version: '18.3', active: true },
    { id: 'c2a4b9de-4a57-4f0e-9b61-7d3e5c8f1b18', name: '18', version: '18.4', active: true },
  ],
  port: 5432,
  upgradeProblem,
  defaultConfiguration: publicSettings,
  can: {
    databases: {
      reserved: ['postgres', 'template0', 'template1', 'os_admin'],
      nameProblem,
      localeProblem: (characterSet: string | undefined, collate: string | undefined, version?: string) =>
        localeProblem(characterSet, collate, version === undefined ? NEWEST_MAJOR : majorOf(version)),
    },
    users: {
      reserved: ['root', 'postgres', 'os_admin', 'os_maint', 'os_former', 'os_owner'],
      reservedPrefixes: ['pg_'],
      nameProblem: roleNameProblem,
      hostProblem,
    },
    root: { user: 'root' },
    tls: { modes: ['basic', 'enforced'] },
    access: {},
  },
} satisfies Manifest
