import { parseArgs } from 'node:util'
import { messageOf } from '../lib/kit/errors.ts'
import { seedAccounts } from '../lib/platform/identity/builtin/accounts.ts'
import { makeMasterKey } from '../lib/platform/secrets/ssm/init.ts'
import { AwsSettings, awsPlatform, stageNames } from '../lib/wiring/aws.ts'
import { systemRandom as random } from '../lib/wiring/system.ts'

/**
 * `npm run deploy:init -- --stage dev`: creates the master key, which the first deployment needs. Run again after that
 * deployment, it creates the first admin. Neither is ever replaced.
 */
const { values } = parseArgs({ options: { stage: { type: 'string', default: 'dev' }, region: { type: 'string' } } })
const region = values.region ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION']

async function init(): Promise<void> {
  if (!region) throw new Error('no region: name one with --region or AWS_REGION')
  const names = stageNames(values.stage)
  const endpoint = process.env['AWS_ENDPOINT_URL']
  const connection = { region, ...(endpoint && { endpoint }) }
  const created = await makeMasterKey({ connection, parameter: names.COFFER_MASTER_KEY, random })
  console.log(`master key ${names.COFFER_MASTER_KEY}: ${created ? 'created' : 'exists already'}`)
  // Accounts need only the table and the key: the other settings are not used.
  const unused = { COFFER_GUEST_ROLE: '', COFFER_ACCOUNT: '', COFFER_URL: 'http://localhost', COFFER_RATE: 0 }
  const settings = { ...names, ...unused, AWS_REGION: region, ...(endpoint && { AWS_ENDPOINT_URL: endpoint }) }
  const platform = awsPlatform(AwsSettings.parse(settings))
  await createFirstAdmin(platform.identityService)
}

async function createFirstAdmin(identity: ReturnType<typeof awsPlatform>['identityService']): Promise<void> {
  const password = Buffer.from(random.bytes(18)).toString('base64url')
  const admin = { user: 'admin', password, project: 'admin', roles: ['admin', 'member'] }
  try {
    const [seeded] = identity ? await seedAccounts(identity.accounts, [admin]) : []
    console.log(
      seeded?.created ? `first admin: user admin, password ${password} (shown once)` : 'first admin: exists already',
    )
  } catch (error) {
    if (!/ResourceNotFound/.test(`${error instanceof Error ? error.name : ''}`)) throw error
    console.log(
      `first admin: not created, as there is no table yet; run this again after 'sls deploy --stage ${values.stage}'`,
    )
  }
}

await init().catch(error => {
  console.error(`coffer: ${messageOf(error)}`)
  process.exit(1)
})
