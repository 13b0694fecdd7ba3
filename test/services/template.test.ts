import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { MAX_ATTEMPTS } from '../../lib/kit/rpc/batch.ts'
import { KEYS, PLANS, planKey } from '../../lib/limits/plans.ts'
import { TOPIC_TAG } from '../../lib/platform/queue/sqs/access.ts'
import { TABLE } from '../../lib/platform/store/dynamodb/table.ts'
import { pythonEnvironment } from '../../localstack/python.ts'
import { copyProjectWithChange, sls } from './deployed.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const OUT = join(ROOT, 'build', 'package')
const FUNCTIONS = ['api', 'authorizer', 'conductor', 'enrol', 'identity', 'periodic', 'taskmanager']
const MEBIBYTE = 1024 * 1024
const REGION = { AWS_REGION: 'eu-central-1' }

interface Resource {
  Type: string
  // biome-ignore lint/suspicious/noExplicitAny: a template has resources of any shape
  Properties: Record<string, any>
}

let text: string
let resources: Record<string, Resource>
const ofType = (type: string) => Object.entries(resources).filter(([, { Type }]) => Type === type)

/** Packages what `sls deploy --stage prod` would deploy; this needs neither credentials nor a network. */
beforeAll(async () => {
  const packaged = await sls(ROOT, REGION, 'package', '--stage', 'prod', '--package', OUT)
  expect(packaged).toMatchObject({ code: 0 })
  text = readFileSync(join(OUT, 'cloudformation-template-update-stack.json'), 'utf8')
  resources = JSON.parse(text).Resources
}, 600_000)

describe('sls', () => {
  let scratch: string
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'coffer-sls-'))
  })
  afterAll(() => rmSync(scratch, { recursive: true }))

  it('reports an unknown stage in one line', async () => {
    // In a copy: the command empties the project's folder of packages.
    const project = copyProjectWithChange(join(scratch, 'unchanged'), 'package.json', 'coffer', 'coffer')
    const { code, out, err } = await sls(project, REGION, 'deploy', '--stage', 'nosuch')
    expect([code, `${out}${err}`]).toEqual([
      1,
      expect.stringContaining("\ncoffer: there is no stage 'nosuch'; there are dev,"),
    ])
  })

  it('reports the file of a source that does not compile', async () => {
    const project = copyProjectWithChange(
      join(scratch, 'broken'),
      'lib/versions/routes.ts',
      'export const routes',
      'export const',
    )
    const { code, out, err } = await sls(project, REGION, 'package', '--stage', 'dev')
    expect([code, `${out}${err}`]).toEqual([1, expect.stringContaining('lib/versions/routes.ts')])
  })
})

describe('the deployed template', () => {
  it('has no errors', () => {
    const lint = join(pythonEnvironment('requirements-lint.txt'), 'bin', 'cfn-lint')
    // W3037: the emulator requires permissions for batch calls, which AWS does not have.
    const args = ['--ignore-checks', 'W3005', 'W3037', '--', join(OUT, 'cloudformation-template-update-stack.json')]
    expect(execFileSync(lint, args, { encoding: 'utf8' })).toBe('')
  }, 120_000)

  it('has every function, each bundled on its own in at most 1 MiB', () => {
    const names = ofType('AWS::Lambda::Function').map(([, { Properties }]) => Properties['FunctionName'])
    expect(names.sort()).toEqual(FUNCTIONS.map(name => `coffer-prod-${name}`))
    for (const name of FUNCTIONS) expect(statSync(join(OUT, `${name}.zip`)).size).toBeLessThan(MEBIBYTE)
    for (const [, { Properties }] of ofType('AWS::Lambda::Function')) {
      expect(Properties).toMatchObject({ Runtime: 'nodejs24.x', Architectures: ['arm64'] })
      expect(Object.values(Properties['Environment'].Variables)).not.toContain('')
    }
  })

  it("hides a message for six times its function's timeout, and has a dead-letter queue for each queue", () => {
    const mappings = ofType('AWS::Lambda::EventSourceMapping')
    expect(mappings).toHaveLength(2)
    for (const [, { Properties }] of mappings) {
      const [queue] = Properties['EventSourceArn']['Fn::GetAtt']
      const [name] = Properties['FunctionName']['Fn::GetAtt']
      const { VisibilityTimeout, RedrivePolicy } = resources[queue]?.Properties ?? {}
      const window = Properties['MaximumBatchingWindowInSeconds'] ?? 0
      expect(VisibilityTimeout).toBeGreaterThanOrEqual(6 * resources[name]?.Properties['Timeout'] + window)
      expect(resources[RedrivePolicy.deadLetterTargetArn['Fn::GetAtt'][0]]?.Type).toBe('AWS::SQS::Queue')
      expect(RedrivePolicy.maxReceiveCount).toBe(MAX_ATTEMPTS)
      expect(Properties['FunctionResponseTypes']).toEqual(['ReportBatchItemFailures'])
      expect(Properties['ScalingConfig'].MaximumConcurrency).toBeGreaterThanOrEqual(2)
    }
  })

  it('gives no role a wildcard action or resource', () => {
    const roles = ofType('AWS::IAM::Role')
    expect(roles.map(([name]) => name).sort()).toEqual(
      [...FUNCTIONS.map(name => `${name[0]?.toUpperCase()}${name.slice(1)}Role`), 'GuestRole'].sort(),
    )
    for (const [, { Properties }] of [...roles, ...ofType('AWS::IAM::Policy')]) {
      const documents = Properties['PolicyDocument']
        ? [Properties['PolicyDocument']]
        : Properties['Policies'].map((one: { PolicyDocument: unknown }) => one.PolicyDocument)
      for (const { Statement } of documents) {
        for (const { Effect, Action, Resource, Condition } of Statement) {
          expect(Effect).toBe('Allow')
          for (const action of [Action].flat()) expect(action).toMatch(/^[a-z0-9]+:[A-Za-z]+$/)
          // EC2's Describe actions allow no resources: only they may have '*', and only in the stack's region.
          const reads = [Action].flat().every((action: string) => action.startsWith('ec2:Describe'))
          if (reads) expect(Condition.StringEquals).toEqual({ 'aws:RequestedRegion': { Ref: 'AWS::Region' } })
          else expect([Resource].flat()).not.toContain('*')
        }
      }
    }
  })

  it('allows creating machines only with the tag of the deployment, and changing only those', () => {
    const [[, policy] = []] = ofType('AWS::IAM::Policy').filter(([name]) => name === 'TaskmanagerMachines')
    const statements: Record<string, unknown>[] = policy?.Properties['PolicyDocument'].Statement
    const tagged = (kind: string) => ({ StringEquals: { [`aws:${kind}/coffer-stage`]: 'coffer-prod' } })
    const open = statements.filter(({ Action, Condition }) => {
      const isTagged = JSON.stringify(Condition ?? {}).includes('/coffer-stage":"coffer-prod"')
      return !isTagged && ![Action].flat().every(action => `${action}`.startsWith('ec2:Describe'))
    })
    // These also need images, subnets and networks, which the deployment did not create.
    expect(open.map(({ Action }) => Action)).toEqual(['ec2:RunInstances', 'ec2:CreateSecurityGroup', 's3:GetObject'])
    const byAction = (action: string) =>
      statements.find(({ Action }) => [Action].flat().includes(action))?.['Condition']
    expect(byAction('ec2:CreateVolume')).toEqual(tagged('RequestTag'))
    for (const action of [
      'ec2:TerminateInstances',
      'ec2:DeleteVolume',
      'ec2:DeleteSecurityGroup',
      'ec2:ReleaseAddress',
    ]) {
      expect(byAction(action)).toEqual(tagged('ResourceTag'))
    }
  })

  it('limits an agent to its own queue by its tag', () => {
    const [, role] = ofType('AWS::IAM::Role').find(([name]) => name === 'GuestRole') ?? []
    const [{ PolicyDocument }] = role?.Properties['Policies'] ?? [{}]
    const [statement] = PolicyDocument.Statement
    const parts = JSON.stringify(statement.Resource).matchAll(/"([^"]*)"/g)
    const text = [...parts].map(([, part]) => part).filter(part => !part?.startsWith('Fn::'))
    expect(text.join('')).toMatch(/:coffer-prod-\$\{aws:PrincipalTag\/coffer-topic\}$/)
    expect(TOPIC_TAG).toBe('coffer-topic')
  })

  it('has one table, encrypted and restorable, with the keys that the store uses', () => {
    const [[, table] = [], ...rest] = ofType('AWS::DynamoDB::Table')
    expect(rest).toEqual([])
    expect(table?.Properties).toMatchObject({
      BillingMode: TABLE.BillingMode,
      KeySchema: TABLE.KeySchema,
      AttributeDefinitions: TABLE.AttributeDefinitions,
      TimeToLiveSpecification: TABLE.TimeToLiveSpecification,
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      SSESpecification: { SSEEnabled: true },
    })
  })

  it('has no public bucket', () => {
    for (const [name, { Properties }] of ofType('AWS::S3::Bucket')) {
      expect(Properties['BucketEncryption']).toBeDefined()
      if (name !== 'Bucket') continue
      expect(Object.values(Properties['PublicAccessBlockConfiguration'])).toEqual([true, true, true, true])
    }
  })

  it('limits the requests of all who need no token: logins and enrolments', () => {
    const [[, deployment] = []] = ofType('AWS::ApiGateway::Deployment')
    const limit = (path: string, method: string, rate: number, burst: number) =>
      expect.objectContaining({
        ResourcePath: path,
        HttpMethod: method,
        ThrottlingRateLimit: rate,
        ThrottlingBurstLimit: burst,
      })
    expect(deployment?.Properties['StageDescription']?.MethodSettings).toEqual([
      limit('/~1identity', '*', 50, 100),
      limit('/~1identity~1{proxy+}', '*', 50, 100),
      limit('/~1enrol', 'POST', 50, 200),
    ])
  })

  it('limits requests by the API keys and plans that the authorizer knows', () => {
    const [[, api] = []] = ofType('AWS::ApiGateway::RestApi')
    expect(api?.Properties['ApiKeySourceType']).toBe('AUTHORIZER')
    const keys = ofType('AWS::ApiGateway::ApiKey').map(([, { Properties }]) => Properties['Value'])
    const all = PLANS.flatMap(plan => Array.from({ length: KEYS }, (_, index) => planKey(plan, index, 'prod')))
    expect(keys.sort()).toEqual(all.sort())
    const throttles = ofType('AWS::ApiGateway::UsagePlan').map(([, { Properties }]) => Properties['Throttle'])
    expect(throttles).toEqual(
      expect.arrayContaining(PLANS.map(({ rate, burst }) => ({ RateLimit: rate, BurstLimit: burst }))),
    )
    const [[, authorizer] = []] = ofType('AWS::ApiGateway::Authorizer')
    expect(authorizer?.Properties).toMatchObject({
      Type: 'REQUEST',
      IdentitySource: 'method.request.header.X-Auth-Token',
      AuthorizerResultTtlInSeconds: 60,
    })
  })

  it("has bodies that clients can read for the gateway's own answers", () => {
    const types = ofType('AWS::ApiGateway::GatewayResponse').map(([, { Properties }]) => Properties['ResponseType'])
    expect(types).toEqual(expect.arrayContaining(['UNAUTHORIZED', 'ACCESS_DENIED', 'THROTTLED', 'QUOTA_EXCEEDED']))
  })

  it('has alarms for dead letters, waiting messages and failing functions', () => {
    const metrics = ofType('AWS::CloudWatch::Alarm').map(([, { Properties }]) => Properties['MetricName'])
    expect(new Set(metrics)).toEqual(
      new Set(['ApproximateNumberOfMessagesVisible', 'ApproximateAgeOfOldestMessage', 'Errors', 'Throttles']),
    )
  })

  it('contains no secret', () => {
    expect(text).not.toMatch(/AKIA[0-9A-Z]{16}|PRIVATE KEY|"[A-Za-z0-9_-]{43}="/)
    expect(text).toContain('/coffer/prod/master-key')
  })
})
