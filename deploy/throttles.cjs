/**
 * Limits of the routes that need no token, and so have no key and no usage plan. All callers share them: they bound
 * what a flood costs. The deployment's name is new each time, which `extensions` cannot express.
 */
const LIMITS = [
  ['/~1identity', '*', 50, 100],
  ['/~1identity~1{proxy+}', '*', 50, 100],
  ['/~1enrol', 'POST', 50, 200],
]

module.exports = class Throttles {
  constructor({ service }) {
    this.hooks = { 'before:package:finalize': () => limit(service.provider.compiledCloudFormationTemplate.Resources) }
  }
}

function limit(resources) {
  const settings = LIMITS.map(([ResourcePath, HttpMethod, ThrottlingRateLimit, ThrottlingBurstLimit]) => {
    return { ResourcePath, HttpMethod, ThrottlingRateLimit, ThrottlingBurstLimit }
  })
  for (const { Type, Properties } of Object.values(resources)) {
    if (Type === 'AWS::ApiGateway::Deployment') Properties.StageDescription = { MethodSettings: settings }
  }
}
