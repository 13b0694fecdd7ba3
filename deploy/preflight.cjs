/** What would fail half-way, told in one line before anything is made. */
const { GetCallerIdentityCommand, STSClient } = require('@aws-sdk/client-sts')
const { GetParameterCommand, SSMClient } = require('@aws-sdk/client-ssm')

module.exports = class Preflight {
  constructor(serverless, options) {
    this.serverless = serverless
    this.options = options
    this.hooks = { 'before:deploy:deploy': () => this.check(), 'before:package:initialize': () => this.stage() }
  }

  aws() {
    return this.serverless.getProvider('aws')
  }

  stage() {
    const { service } = this.serverless
    const stage = this.aws().getStage()
    const known = Object.keys(service.initialServerlessConfig?.params ?? {}).filter(name => name !== 'default')
    if (!known.includes(stage)) this.fail(`there is no stage '${stage}'; there are ${known.join(', ')}`)
    if (!this.aws().getRegion()) this.fail('no region: name one with --region or AWS_REGION')
  }

  async check() {
    const [stage, region] = [this.aws().getStage(), this.aws().getRegion()]
    const { COFFER_COMPUTE } = this.serverless.service.provider.environment
    const { COFFER_EC2_IMAGE, COFFER_EC2_SUBNETS } = this.serverless.service.functions.taskmanager.environment
    if (COFFER_COMPUTE === 'ec2' && [COFFER_EC2_IMAGE, COFFER_EC2_SUBNETS].includes('unset')) {
      this.fail('machines are to run on EC2: name COFFER_EC2_IMAGE (ami-…) and COFFER_EC2_SUBNETS (subnet-…,subnet-…)')
    }
    const bounded = { region, maxAttempts: 1, requestHandler: { connectionTimeout: 5_000, requestTimeout: 10_000 } }
    await new STSClient(bounded).send(new GetCallerIdentityCommand({})).catch(error => {
      this.fail(`AWS does not know you in region '${region}' (${error.name}): check credentials and region`)
    })
    const Name = this.serverless.service.custom.names.masterKey
    await new SSMClient(bounded).send(new GetParameterCommand({ Name })).catch(error => {
      this.fail(
        `the master key ${Name} cannot be read in ${region} (${error.name}): run 'npm run deploy:init -- --stage ${stage}' first`,
      )
    })
  }

  fail(line) {
    throw new this.serverless.classes.Error(`coffer: ${line}`)
  }
}
