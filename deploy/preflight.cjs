/** What would fail half-way, told in one line before anything is made or removed. */
const { GetCallerIdentityCommand, STSClient } = require('@aws-sdk/client-sts')
const { GetParameterCommand, SSMClient } = require('@aws-sdk/client-ssm')
const { DeleteQueueCommand, paginateListQueues, SQSClient } = require('@aws-sdk/client-sqs')

module.exports = class Preflight {
  constructor(serverless, options) {
    this.serverless = serverless
    this.options = options
    this.hooks = {
      'before:package:initialize': () => this.stage(),
      'before:deploy:deploy': () => this.check(),
      'before:remove:remove': () => this.unused(),
      'after:remove:remove': () => this.forget(),
    }
  }

  aws() {
    return this.serverless.getProvider('aws')
  }

  bounded() {
    const requestHandler = { connectionTimeout: 5_000, requestTimeout: 10_000, throwOnRequestTimeout: true }
    return { region: this.aws().getRegion(), maxAttempts: 1, requestHandler }
  }

  stage() {
    const { service } = this.serverless
    const stage = this.aws().getStage()
    const known = Object.keys(service.initialServerlessConfig?.params ?? {}).filter(name => name !== 'default')
    if (!known.includes(stage)) this.fail(`there is no stage '${stage}'; there are ${known.join(', ')}`)
    if (!this.aws().getRegion()) this.fail('no region: name one with --region or AWS_REGION')
  }

  async known() {
    await new STSClient(this.bounded()).send(new GetCallerIdentityCommand({})).catch(error => {
      const region = this.aws().getRegion()
      this.fail(`AWS does not know you in region '${region}' (${why(error)}): check credentials and region`)
    })
  }

  async check() {
    await this.known()
    const [stage, region] = [this.aws().getStage(), this.aws().getRegion()]
    const { COFFER_COMPUTE } = this.serverless.service.provider.environment
    const { COFFER_EC2_IMAGE, COFFER_EC2_SUBNETS } = this.serverless.service.functions.taskmanager.environment
    if (COFFER_COMPUTE === 'ec2' && [COFFER_EC2_IMAGE, COFFER_EC2_SUBNETS].includes('unset')) {
      this.fail('machines are to run on EC2: name COFFER_EC2_IMAGE (ami-…) and COFFER_EC2_SUBNETS (subnet-…,subnet-…)')
    }
    const Name = this.serverless.service.custom.names.masterKey
    await new SSMClient(this.bounded()).send(new GetParameterCommand({ Name })).catch(error => {
      this.fail(
        `the master key ${Name} cannot be read in ${region} (${why(error)}): run 'npm run deploy:init -- --stage ${stage}' first`,
      )
    })
  }

  /** An instance's machine and data would outlive the stack that alone knows of them. */
  async unused() {
    this.stage()
    await this.known()
    const { length } = await this.queues('guest-')
    if (length > 0) this.fail(`there are instances yet (${length} queues of agents): delete them before their stack`)
  }

  /** The queues of hosts were made as they came, by no template. */
  async forget() {
    const client = new SQSClient(this.bounded())
    for (const QueueUrl of await this.queues('host-')) await client.send(new DeleteQueueCommand({ QueueUrl }))
  }

  async queues(kind) {
    const QueueNamePrefix = `${this.serverless.service.custom.names.prefix}-${kind}`
    const urls = []
    const pages = paginateListQueues({ client: new SQSClient(this.bounded()) }, { QueueNamePrefix, MaxResults: 1_000 })
    for await (const page of pages) urls.push(...(page.QueueUrls ?? []))
    return urls
  }

  fail(line) {
    throw new this.serverless.classes.Error(`coffer: ${line}`)
  }
}

/** A name where AWS gave one. */
const why = error =>
  error.name === 'Error' ? error.message.replace(/^AWS SDK error wrapper for Error: /, '') : error.name
