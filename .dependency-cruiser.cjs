// Who may import whom (docs/architecture.md). test/boundaries/ plants a violation of each rule and sees it refused.

const LADDER = require('./scripts/ladder.cjs')

const folders = list => `^(${list.join('|')})/`

/** For each folder a rule against whatever stands beside or above it. */
const ladder = LADDER.flatMap((rung, height) =>
  rung.map(folder => {
    const above = LADDER.slice(height).flat()
    return {
      name: `ladder-${folder.replace('/', '-')}`,
      severity: 'error',
      from: { path: folders([folder]) },
      to: { path: folders(above), pathNot: folders([folder]) },
    }
  }),
)

/** A backend is a folder of lib/platform; the files beside the folders are everybody's. */
const BACKENDS = '^lib/platform/[^/]+/'

module.exports = {
  forbidden: [
    ...ladder,
    {
      name: 'lib-folders-are-on-the-ladder',
      severity: 'error',
      from: { path: '^lib/', pathNot: folders(LADDER.flat()) },
      to: {},
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      from: {
        orphan: true,
        path: '^(lib|functions|guest-agent|agent-bundle|host|local)/',
        pathNot: '(main|serve)\\.ts$',
      },
      to: {},
    },
    {
      name: 'verbs-never-import-verbs',
      severity: 'error',
      from: { path: '^lib/[^/]+/verbs/' },
      to: { path: '^lib/[^/]+/verbs/' },
    },
    {
      name: 'steps-know-no-verbs',
      severity: 'error',
      from: { path: '^lib/[^/]+/steps/' },
      to: { path: '^lib/[^/]+/verbs/' },
    },
    {
      name: 'backends-are-wired',
      severity: 'error',
      from: { path: '^(lib|functions)/', pathNot: ['^lib/wiring/', '^lib/platform/'] },
      to: { path: BACKENDS },
    },
    {
      name: 'aws-in-platform',
      severity: 'error',
      from: { path: '^(lib|functions|guest-agent|agent-bundle|host|local)/', pathNot: '^lib/platform/' },
      to: { path: '(^|/)@aws-sdk/' },
    },
    {
      name: 'control-plane-loads-no-driver',
      severity: 'error',
      from: { path: '^(lib|functions|local)/', pathNot: '^lib/datastores/' },
      to: { path: '^lib/datastores/(drivers|machines)\\.ts$' },
    },
    {
      name: 'datastores-are-registered',
      severity: 'error',
      from: { pathNot: ['^test/', '^lib/datastores/([^/]+/|(manifests|drivers|machines)\\.ts$)'] },
      to: { path: '^lib/datastores/[^/]+/' },
    },
    {
      name: 'datastores-are-apart',
      severity: 'error',
      from: { path: '^lib/datastores/([^/]+)/' },
      to: { path: '^lib/datastores/([^/]+/|(manifests|drivers|machines)\\.ts$)', pathNot: '^lib/datastores/$1/' },
    },
    {
      name: 'memory-is-for-tests',
      severity: 'error',
      from: { pathNot: ['^test/', '^lib/datastores/memory/'] },
      to: { path: '^lib/datastores/memory/' },
    },
    {
      name: 'agent-sees-little',
      severity: 'error',
      from: { path: '^guest-agent/' },
      to: {
        path: '^(lib|functions)/',
        pathNot: '^lib/(ports|kit|contracts|datastores|platform/queue|wiring)/',
      },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(build|\\.coffer)' },
    parser: 'swc',
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: 'specify',
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node'],
    },
  },
}
