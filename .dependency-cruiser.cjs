// Who may import whom (docs/architecture.md). `scripts/verify.ts` plants a violation of each rule and sees it refused.
const VERB = '^lib/(?!kit|platform|contracts|wiring|datastores)([^/]+)/'
/** `[noun folder, its model files]`: what other nouns may import of it. */
const MODELS = [
  '^lib/instances/instance\\.ts$',
  '^lib/instances/tombstone\\.ts$',
  '^lib/root/root\\.ts$',
  '^lib/databases/database\\.ts$',
  '^lib/users/(user|names)\\.ts$',
  '^lib/guests/guest\\.ts$',
  '^lib/flavors/(flavor|view)\\.ts$',
  '^lib/quotas/quota\\.ts$',
  '^lib/operations/operation\\.ts$',
  '^lib/identity/account\\.ts$',
  '^lib/ssl/ssl\\.ts$',
  '^lib/[^/]+/schemas\\.ts$',
]
const BACKENDS = '^lib/platform/([^/]+)/(?!\\1\\.ts$|facts\\.ts$)'

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, path: '^(lib|functions|guest-agent|host|local)/', pathNot: '(main|serve)\\.ts$' },
      to: {},
    },
    {
      name: 'lib-stays-inside',
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: '^(functions|guest-agent|host|local|localstack|test|bench|scripts)/' },
    },
    {
      name: 'kit-knows-no-databases',
      severity: 'error',
      from: { path: '^lib/kit/' },
      to: { path: '^lib/', pathNot: ['^lib/kit/', '^lib/platform/([^/]+)/\\1\\.ts$'] },
    },
    {
      name: 'contracts-know-models-only',
      severity: 'error',
      from: { path: '^lib/contracts/' },
      to: { path: '^lib/', pathNot: ['^lib/(kit|contracts)/', ...MODELS] },
    },
    {
      name: 'nouns-know-models-of-nouns',
      severity: 'error',
      from: { path: VERB, pathNot: ['^lib/[^/]+/(routes|index)\\.ts$'] },
      to: { path: VERB, pathNot: ['^lib/$1/', ...MODELS] },
    },
    {
      name: 'verbs-never-import-verbs',
      severity: 'error',
      from: { path: '^lib/instances/(create|delete|reset-status|restart|resize|rename)\\.ts$' },
      to: { path: '^lib/instances/(create|delete|reset-status|restart|resize|rename)\\.ts$' },
    },
    {
      name: 'index-is-for-functions',
      severity: 'error',
      from: { pathNot: '^(functions|test)/' },
      to: { path: '^lib/[^/]+/index\\.ts$' },
    },
    {
      name: 'backends-are-wired',
      severity: 'error',
      from: {
        pathNot: [
          '^lib/wiring/',
          '^guest-agent/(main|queues)\\.ts$',
          '^host/main\\.ts$',
          '^(local|localstack|test|bench)/',
          '^scripts/deploy-(init|agent)\\.ts$',
          BACKENDS,
        ],
      },
      to: { path: BACKENDS },
    },
    {
      name: 'aws-in-platform',
      severity: 'error',
      // The services' suite makes tables and buckets, as a deployment does.
      from: { pathNot: '^(lib/platform|test/services)/' },
      to: { path: '(^|/)@aws-sdk/' },
    },
    {
      name: 'control-plane-loads-no-driver',
      severity: 'error',
      from: { path: '^(lib/(?!datastores/[^/]+/)|functions/|local/)' },
      to: { path: '^lib/datastores/[^/]+/(?!manifest\\.ts$)' },
    },
    {
      name: 'agent-sees-little',
      severity: 'error',
      from: { path: '^guest-agent/' },
      to: {
        path: '^(lib|functions|host|local)/',
        pathNot: [
          '^lib/contracts/(guest|conductor)\\.ts$',
          '^lib/(kit|datastores)/',
          '^lib/platform/(queue|objects)/',
          '^lib/wiring/system\\.ts$',
        ],
      },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(build|\\.venv|\\.coffer)' },
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
