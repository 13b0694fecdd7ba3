import type { Manifest } from '../../../lib/datastores/manifest.ts'

/** A datastore of key-value databases, as docs/how-to-add-a-datastore.md makes one. */
export const toyManifest = {
  id: '5e0f7a30-77d1-4b3e-9d0d-0a9f4d2b1c00',
  name: 'toy',
  manager: 'toy',
  defaultVersion: '1',
  versions: [{ id: '5e0f7a30-77d1-4b3e-9d0d-0a9f4d2b1c01', name: '1', version: '1.0', active: true }],
  port: 7007,
  upgradeProblem: () => 'There is one version only.',
  defaultConfiguration: () => ({}),
  can: {
    databases: {
      reserved: ['system'],
      nameProblem: name => (/^[a-z]{1,20}$/.test(name) ? undefined : 'A name has 1 to 20 small letters.'),
      localeProblem: (characterSet, collate) => (characterSet || collate ? 'There are no locales.' : undefined),
    },
  },
} satisfies Manifest
