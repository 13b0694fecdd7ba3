/**
 * The ladder: a folder imports only what stands on lower rungs, and its own files. Folders on one rung do not import each
 * other. The lowest rung comes first.
 */
module.exports = [
  ['lib/ports'],
  ['lib/kit'],
  ['lib/trove'],
  ['lib/contracts'],
  ['lib/datastores', 'lib/keystone'],
  ['lib/platform'],
  ['lib/model'],
  ['lib/agents'],
  ['lib/taskmanager'],
  ['lib/conductor'],
  ['lib/instances'],
  [
    'lib/audit',
    'lib/catalog',
    'lib/databases',
    'lib/flavors',
    'lib/limits',
    'lib/mgmt',
    'lib/openapi',
    'lib/operations',
    'lib/quotas',
    'lib/root',
    'lib/tls',
    'lib/users',
    'lib/versions',
  ],
  ['lib/wiring'],
  ['functions', 'guest-agent'],
  ['host'],
  ['agent-bundle'],
  ['local'],
  ['localstack'],
]
