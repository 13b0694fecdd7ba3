import type { Manifest } from '../manifest.ts'

const NAME_LENGTH = 63

function nameProblem(name: string): string | undefined {
  if (name === '') return 'A name must not be empty.'
  return name.length > NAME_LENGTH ? `A name has at most ${NAME_LENGTH} characters.` : undefined
}

const isHost = (host: string) => /^[\d./%]+$/.test(host)

/** A database in the agent's memory, for tests: no server, no files. */
export const memoryManifest = {
  id: '0d8a6f6e-5d0e-4c55-9a3e-6b7f3e0c1a00',
  name: 'memory',
  manager: 'memory',
  defaultVersion: '2',
  versions: [
    { id: '0d8a6f6e-5d0e-4c55-9a3e-6b7f3e0c1a01', name: '1', version: '1.0', active: true },
    { id: '0d8a6f6e-5d0e-4c55-9a3e-6b7f3e0c1a02', name: '2', version: '2.0', active: true },
  ],
  port: 5432,
  upgradeProblem: (from, to) => (Number(from) > Number(to) ? 'There is no way back to an older version.' : undefined),
  defaultConfiguration: ({ ramMb }) => ({ memory_mb: ramMb }),
  can: {
    databases: { reserved: ['system'], nameProblem, localeProblem: () => undefined },
    users: {
      reserved: ['system', 'root'],
      reservedPrefixes: [],
      nameProblem,
      hostProblem: (_user, host) => (isHost(host) ? undefined : 'A host is % or an IPv4 pattern.'),
    },
    root: { user: 'root' },
    tls: { modes: ['basic', 'enforced'] },
    access: {},
  },
} satisfies Manifest
