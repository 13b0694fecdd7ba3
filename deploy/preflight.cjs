/** Checks what would fail half-way, and says so in one line before anything is created or removed. */
const { GetCallerIdentityCommand, STSClient } = require('@aws-sdk/client-sts')
const { GetParameterCommand, SSMClient } = require('@aws-sdk/client-ssm')
const { DeleteQueueCommand, paginateListQueues, SQSClient } = require('@aws-sdk/client-sqs')

module.exports = class Preflight {
  constructor(serverless, options) {
    this.serverless = serverless
    this.options = options
    this.hooks = {
      'before:package:initialize': () => this.checkStage(),
      'before:deploy:deploy': () => this.checkDeploy(),
      'before:remove:remove': () => this.checkUnused(),
      'after:remove:remove': () => this.removeHostQueues(),
    }
  }

  aws() {
    return this.serverless.getProvider('aws')
  }

  /** Client options that fail fast. */
  clientOptions() {
    const requestHandler = { connectionTimeout: 5_000, requestTimeout: 10_000, throwOnRequestTimeout: true }
    return { region: this.aws().getRegion(), maxAttempts: 1, requestHandler }
  }

  checkStage() {
    const { service } = this.serverless
    const stage = this.aws().getStage()
    const stages = Object.keys(service.initialServerlessConfig?.params ?? {}).filter(name => name !== 'default')
    if (!stages.includes(stage)) this.fail(`there is no stage '${stage}'; there are ${stages.join(', ')}`)
    if (!this.aws().getRegion()) this.fail('no region: name one with --region or AWS_REGION')
  }

  async checkCredentials() {
    await new STSClient(this.clientOptions()).send(new GetCallerIdentityCommand({})).catch(error => {
      const region = this.aws().getRegion()
      this.fail(`AWS does not know you in region '${region}' (${reasonOf(error)}): check credentials and region`)
    })
  }

  async checkDeploy() {
    await this.checkCredentials()
    const [stage, region] = [this.aws().getStage(), this.aws().getRegion()]
    const { COFFER_COMPUTE } = this.serverless.service.provider.environment
    const { COFFER_EC2_IMAGE, COFFER_EC2_SUBNETS } = this.serverless.service.functions.taskmanager.environment
    if (COFFER_COMPUTE === 'ec2' && [COFFER_EC2_IMAGE, COFFER_EC2_SUBNETS].includes('unset')) {
      this.fail('to run machines on EC2, set COFFER_EC2_IMAGE (ami-…) and COFFER_EC2_SUBNETS (subnet-…,subnet-…)')
    }
    const Name = this.serverless.service.custom.names.masterKey
    await new SSMClient(this.clientOptions()).send(new GetParameterCommand({ Name })).catch(error => {
      this.fail(
        `the master key ${Name} cannot be read in ${region} (${reasonOf(error)}): run 'npm run deploy:init -- --stage ${stage}' first`,
      )
    })
  }

  /** Instances' machines and data would outlive the stack, which alone knows of them. */
  async checkUnused() {
    this.checkStage()
    await this.checkCredentials()
    const { length } = await this.queues('guest-')
    if (length > 0) this.fail(`there are still instances (${length} queues of agents): delete them before their stack`)
  }

  /** Hosts' queues are created at run time, so they are not part of the stack. */
  async removeHostQueues() {
    const client = new SQSClient(this.clientOptions())
    for (const QueueUrl of await this.queues('host-')) await client.send(new DeleteQueueCommand({ QueueUrl }))
  }

  async queues(kind) {
    const QueueNamePrefix = `${this.serverless.service.custom.names.prefix}-${kind}`
    const urls = []
    const pages = paginateListQueues(
      { client: new SQSClient(this.clientOptions()) },
      { QueueNamePrefix, MaxResults: 1_000 },
    )
    for await (const page of pages) urls.push(...(page.QueueUrls ?? []))
    return urls
  }

  fail(line) {
    throw new this.serverless.classes.Error(`coffer: ${line}`)
  }
}

/** AWS's name for the error, where it has one. */
const reasonOf = error =>
  error.name === 'Error' ? error.message.replace(/^AWS SDK error wrapper for Error: /, '') : error.name
