import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

/** The plugin, as osls sees it. */
interface Plugin {
  hooks: Record<string, () => unknown>
}
const Preflight: new (serverless: object, options: object) => Plugin = createRequire(import.meta.url)(
  '../../deploy/preflight.cjs',
)
const MASTER_KEY = '/coffer/dev/master-key'

/** AWS on a local port: the response to each call by name, and the names of the calls so far. */
const responses = new Map<string, [status: number, body: string]>()
const calls: string[] = []
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
      calls.push(name)
      const [status, body] = responses.get(name) ?? [500, '{}']
      const type = body.startsWith('<') ? 'text/xml' : 'application/x-amz-json-1.1'
      response.writeHead(status, { 'content-type': type }).end(body)
    })
  }).listen(0, '127.0.0.1')
  await once(aws, 'listening')
})
afterAll(() => void aws.close())

beforeEach(() => {
  calls.length = 0
  responses.clear()
  responses.set('GetCallerIdentity', [
    200,
    '<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>',
  ])
  responses.set('GetParameter', [200, JSON.stringify({ Parameter: { Name: MASTER_KEY, Value: 'x' } })])
  responses.set('ListQueues', [200, '{}'])
  const address = aws.address()
  process.env = {
    ...before,
    AWS_ENDPOINT_URL: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
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

/** Runs a hook; returns its error message, or undefined if it raises none. */
async function run(
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

describe('a deployment', () => {
  it('passes when nothing is missing', async () => {
    expect(await run('before:package:initialize')).toBeUndefined()
    expect(await run('before:deploy:deploy')).toBeUndefined()
    expect(calls).toEqual(['GetCallerIdentity', 'GetParameter'])
  })

  it('names the stages when the stage does not exist', async () => {
    expect(await run('before:package:initialize', { stage: 'devv' })).toBe(
      "coffer: there is no stage 'devv'; there are dev, prod, local",
    )
  })

  it('requires a region', async () => {
    expect(await run('before:package:initialize', { region: '' })).toBe(
      'coffer: no region: name one with --region or AWS_REGION',
    )
  })

  it('reports missing credentials without calling AWS', async () => {
    delete process.env['AWS_ACCESS_KEY_ID']
    delete process.env['AWS_SECRET_ACCESS_KEY']
    delete process.env['AWS_SESSION_TOKEN']
    delete process.env['AWS_PROFILE']
    expect(await run('before:deploy:deploy')).toBe(
      "coffer: AWS does not know you in region 'eu-central-1' (CredentialsProviderError): check credentials and region",
    )
    expect(calls).toEqual([])
  })

  it('reports wrong credentials', async () => {
    const error = '<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>no</Message></Error></ErrorResponse>'
    responses.set('GetCallerIdentity', [403, error])
    expect(await run('before:deploy:deploy')).toMatch(/^coffer: AWS does not know you .*\(InvalidClientTokenId\)/)
    expect(calls).toEqual(['GetCallerIdentity'])
  })

  it('reports a region that does not answer', async () => {
    process.env['AWS_ENDPOINT_URL'] = 'http://127.0.0.1:9'
    expect(await run('before:deploy:deploy', { region: 'eu-central-9' })).toMatch(
      /^coffer: AWS does not know you in region 'eu-central-9' \(connect ECONNREFUSED 127.0.0.1:9\): check credentials and region$/,
    )
  })

  it('requires an image and subnets for machines on EC2', async () => {
    expect(await run('before:deploy:deploy', { subnets: 'unset' })).toBe(
      'coffer: to run machines on EC2, set COFFER_EC2_IMAGE (ami-…) and COFFER_EC2_SUBNETS (subnet-…,subnet-…)',
    )
    expect(calls).toEqual(['GetCallerIdentity'])
  })

  it('names the command that creates a missing master key', async () => {
    responses.set('GetParameter', [400, JSON.stringify({ __type: 'ParameterNotFound' })])
    expect(await run('before:deploy:deploy')).toBe(
      `coffer: the master key ${MASTER_KEY} cannot be read in eu-central-1 (ParameterNotFound): run 'npm run deploy:init -- --stage dev' first`,
    )
  })
})

describe('a removal', () => {
  it('is refused while there are instances', async () => {
    responses.set('ListQueues', [200, JSON.stringify({ QueueUrls: ['http://127.0.0.1/0/coffer-dev-guest-1-1'] })])
    expect(await run('before:remove:remove')).toMatch(/^coffer: there are still instances \(1 queues of agents\)/)
  })

  it('of a stack without instances also removes its hosts’ queues', async () => {
    expect(await run('before:remove:remove')).toBeUndefined()
    responses.set('ListQueues', [
      200,
      JSON.stringify({ QueueUrls: [`${process.env['AWS_ENDPOINT_URL']}/0/coffer-dev-host-local`] }),
    ])
    responses.set('DeleteQueue', [200, '{}'])
    expect(await run('after:remove:remove')).toBeUndefined()
    expect(calls).toEqual(['GetCallerIdentity', 'ListQueues', 'ListQueues', 'DeleteQueue'])
  })
})
