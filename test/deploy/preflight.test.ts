import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

/** What the plugin is given of osls, as far as it asks. */
interface Plugin {
  hooks: Record<string, () => unknown>
}
const Preflight: new (serverless: object, options: object) => Plugin = createRequire(import.meta.url)(
  '../../deploy/preflight.cjs',
)
const MASTER_KEY = '/coffer/dev/master-key'

/** AWS at a local address: answers each call by its name, and remembers which were made. */
const answers = new Map<string, [status: number, body: string]>()
const asked: string[] = []
let aws: Server
const before = { ...process.env }

beforeAll(async () => {
  aws = createServer((request, response) => {
    let text = ''
    request.on('data', chunk => {
      text += chunk
    })
    request.on('end', () => {
      const target = String(request.headers['x-amz-target'] ?? new URLSearchParams(text).get('Action'))
      const name = target.replace(/^.*\./, '')
      asked.push(name)
      const [status, body] = answers.get(name) ?? [500, '{}']
      const type = body.startsWith('<') ? 'text/xml' : 'application/x-amz-json-1.1'
      response.writeHead(status, { 'content-type': type }).end(body)
    })
  }).listen(0, '127.0.0.1')
  await once(aws, 'listening')
})
afterAll(() => void aws.close())

beforeEach(() => {
  asked.length = 0
  answers.clear()
  answers.set('GetCallerIdentity', [
    200,
    '<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>',
  ])
  answers.set('GetParameter', [200, JSON.stringify({ Parameter: { Name: MASTER_KEY, Value: 'x' } })])
  answers.set('ListQueues', [200, '{}'])
  const at = aws.address()
  process.env = {
    ...before,
    AWS_ENDPOINT_URL: `http://127.0.0.1:${typeof at === 'object' ? at?.port : ''}`,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  }
})
afterAll(() => {
  process.env = before
})

class SlsError extends Error {}

/** What a hook says; undefined if it lets go on. */
async function told(
  hook: string,
  { stage = 'dev', region = 'eu-central-1', subnets = 'subnet-1' } = {},
): Promise<string | undefined> {
  const params = { default: {}, dev: {}, prod: {}, local: {} }
  const names = { masterKey: `/coffer/${stage}/master-key`, prefix: `coffer-${stage}` }
  const plugin = new Preflight(
    {
      getProvider: () => ({ getStage: () => stage, getRegion: () => region }),
      service: {
        initialServerlessConfig: { params },
        custom: { names },
        provider: { environment: { COFFER_COMPUTE: 'ec2' } },
        functions: { taskmanager: { environment: { COFFER_EC2_IMAGE: 'ami-1', COFFER_EC2_SUBNETS: subnets } } },
      },
      classes: { Error: SlsError },
    },
    {},
  )
  try {
    await plugin.hooks[hook]?.()
    return undefined
  } catch (error) {
    if (!(error instanceof SlsError)) throw error
    return error.message
  }
}

describe('before anything is made', () => {
  it('all that is in order passes', async () => {
    expect(await told('before:package:initialize')).toBeUndefined()
    expect(await told('before:deploy:deploy')).toBeUndefined()
    expect(asked).toEqual(['GetCallerIdentity', 'GetParameter'])
  })

  it('a stage that is not known is told, with those that are', async () => {
    expect(await told('before:package:initialize', { stage: 'devv' })).toBe(
      "coffer: there is no stage 'devv'; there are dev, prod, local",
    )
  })

  it('a region that nobody named is told', async () => {
    expect(await told('before:package:initialize', { region: '' })).toBe(
      'coffer: no region: name one with --region or AWS_REGION',
    )
  })

  it('missing credentials are told, and nothing is asked for', async () => {
    delete process.env['AWS_ACCESS_KEY_ID']
    delete process.env['AWS_SECRET_ACCESS_KEY']
    delete process.env['AWS_SESSION_TOKEN']
    delete process.env['AWS_PROFILE']
    expect(await told('before:deploy:deploy')).toBe(
      "coffer: AWS does not know you in region 'eu-central-1' (CredentialsProviderError): check credentials and region",
    )
    expect(asked).toEqual([])
  })

  it('wrong credentials are told', async () => {
    const error = '<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>no</Message></Error></ErrorResponse>'
    answers.set('GetCallerIdentity', [403, error])
    expect(await told('before:deploy:deploy')).toMatch(/^coffer: AWS does not know you .*\(InvalidClientTokenId\)/)
    expect(asked).toEqual(['GetCallerIdentity'])
  })

  it('a region that does not answer is told', async () => {
    process.env['AWS_ENDPOINT_URL'] = 'http://127.0.0.1:9'
    expect(await told('before:deploy:deploy', { region: 'eu-central-9' })).toMatch(
      /^coffer: AWS does not know you in region 'eu-central-9' \(connect ECONNREFUSED 127.0.0.1:9\): check credentials and region$/,
    )
  })

  it('machines without a place are told', async () => {
    expect(await told('before:deploy:deploy', { subnets: 'unset' })).toBe(
      'coffer: machines are to run on EC2: name COFFER_EC2_IMAGE (ami-…) and COFFER_EC2_SUBNETS (subnet-…,subnet-…)',
    )
    expect(asked).toEqual(['GetCallerIdentity'])
  })

  it('a region or stage without the master key is told, with the command that makes it', async () => {
    answers.set('GetParameter', [400, JSON.stringify({ __type: 'ParameterNotFound' })])
    expect(await told('before:deploy:deploy')).toBe(
      `coffer: the master key ${MASTER_KEY} cannot be read in eu-central-1 (ParameterNotFound): run 'npm run deploy:init -- --stage dev' first`,
    )
  })
})

describe('before anything is removed', () => {
  it('instances that are there yet are told', async () => {
    answers.set('ListQueues', [200, JSON.stringify({ QueueUrls: ['http://127.0.0.1/0/coffer-dev-guest-1-1'] })])
    expect(await told('before:remove:remove')).toMatch(/^coffer: there are instances yet \(1 queues of agents\)/)
  })

  it('a stack without instances goes, and the queues of its hosts with it', async () => {
    expect(await told('before:remove:remove')).toBeUndefined()
    answers.set('ListQueues', [
      200,
      JSON.stringify({ QueueUrls: [`${process.env['AWS_ENDPOINT_URL']}/0/coffer-dev-host-local`] }),
    ])
    answers.set('DeleteQueue', [200, '{}'])
    expect(await told('after:remove:remove')).toBeUndefined()
    expect(asked).toEqual(['GetCallerIdentity', 'ListQueues', 'ListQueues', 'DeleteQueue'])
  })
})
