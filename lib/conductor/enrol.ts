import { timingSafeEqual } from 'node:crypto'
import { jwtVerify } from 'jose'
import { type AgentRecord, agentRecords } from '../agents/agent.ts'
import { CREDENTIALS_MS, enrolSecret } from '../agents/enrol-secret.ts'
import { CONDUCTOR_TOPIC, guestSubject, guestTopic } from '../contracts/conductor.ts'
import { type EnrolAnswer, type EnrolRequest, enrolment, TlsKey } from '../contracts/enrol.ts'
import { usableKeyId } from '../kit/crypto/keys.ts'
import { machineSealKeys } from '../kit/crypto/seal.ts'
import { Fault } from '../kit/errors.ts'
import { withOptimisticRetry } from '../kit/records.ts'
import { serve } from '../kit/rpc/contract.ts'
import { toDate } from '../kit/time.ts'
import type { IssuedCertificate } from '../kit/tls/ca.ts'
import { projectIndex, serverName } from '../model/instance.ts'
import type { Platform } from '../platform/platform.ts'

const PROOF_AGE = '60s'

/**
 * Exchanges the secret, or a signature, for addresses, keys, credentials and a certificate. Throws Fault 401 for every
 * invalid request, and 503 until the machine's address is known: the agent can then try again.
 */
export async function enrol(platform: Platform, request: EnrolRequest): Promise<EnrolAnswer> {
  const { agent, tlsKey } =
    'secret' in request
      ? { agent: await redeemSecret(platform, request), tlsKey: request.tlsKey }
      : await verifySignature(platform, request)
  const tls = tlsKey === undefined ? undefined : await issueCertificate(platform, agent, tlsKey)
  return { ...(await credentials(platform, agent)), ...(tls && { tls }) }
}

/** Dispatches the methods of the contract. Throws what they throw, and BadMessage for an invalid input. */
export const dispatchEnrolment = serve(enrolment, { enrol: (request, platform: Platform) => enrol(platform, request) })

/** A certificate for the addresses that the machine reports, never for what the agent claims. */
async function issueCertificate(platform: Platform, agent: AgentRecord, publicKey: string): Promise<IssuedCertificate> {
  const { project, instance, generation } = agent
  const { addresses = [] } = (await platform.compute.server(project, serverName(instance, generation))) ?? {}
  if (addresses.length === 0) throw new Fault(503, "The instance's address is not known yet; try again.")
  const dns = `${instance}.coffer.internal`
  return platform.authority.issue({ publicKey, dns, addresses: addresses.map(({ address }) => address) })
}

async function redeemSecret(
  platform: Platform,
  request: Extract<EnrolRequest, { secret: string }>,
): Promise<AgentRecord> {
  const { instance, generation, secret, publicKey } = request
  return withOptimisticRetry(platform.store, async () => {
    const item = await loadAgent(platform, instance, generation)
    const { publicKey: enrolledKey, enrolUntil, confirmedGeneration } = item.body
    const kid = await usableKeyId(platform.keys, item.body.kid)
    const expected = await enrolSecret(platform.keys, instance, generation, kid)
    if (!secretsEqual(secret, expected)) throw enrolmentRefused()
    // An agent that has reported keeps its key on its disk, and signs for new credentials.
    if (confirmedGeneration === generation) throw enrolmentRefused()
    // If the first answer was lost, the agent repeats the request with the same key. Another key is refused.
    const isExpired = enrolUntil < platform.clock.now()
    if (enrolledKey ? enrolledKey.x !== publicKey.x : isExpired) throw enrolmentRefused()
    if (enrolledKey) return { changes: [], result: item.body }
    // It gets the keys that its secret came from: what waits in its queue was sealed with them.
    const body = { ...item.body, kid, publicKey, enrolUntil: 0 }
    return { changes: [agentRecords.replace(item, body)], result: body }
  })
}

async function verifySignature(platform: Platform, request: Extract<EnrolRequest, { proof: string }>) {
  const { body: agent } = await loadAgent(platform, request.instance, request.generation)
  const { publicKey, instance } = agent
  if (!publicKey) throw enrolmentRefused()
  let tlsKey: string | undefined
  try {
    const { payload } = await jwtVerify(request.proof, publicKey, {
      algorithms: ['EdDSA', 'Ed25519'],
      audience: 'enrol',
      subject: guestSubject(instance),
      maxTokenAge: PROOF_AGE,
      currentDate: toDate(platform.clock.now()),
    })
    tlsKey = TlsKey.optional().parse(payload['tls'])
  } catch {
    throw enrolmentRefused()
  }
  return { agent: await giveCurrentKeys(platform, agent), tlsKey }
}

/** Records that the agent has keys of the current master key, before it is given them. */
async function giveCurrentKeys(platform: Platform, agent: AgentRecord): Promise<AgentRecord> {
  const { instance, generation } = agent
  const kid = await platform.keys.currentId()
  if (agent.kid === kid) return agent
  return withOptimisticRetry(platform.store, async () => {
    const item = await loadAgent(platform, instance, generation)
    const body = { ...item.body, kid }
    return { changes: [agentRecords.replace(item, body)], result: body }
  })
}

async function loadAgent({ store }: Platform, instance: string, generation: number) {
  const pointer = await projectIndex.get(store, '*', instance)
  const item = pointer && (await agentRecords.get(store, pointer.body.project, instance))
  if (!item || item.body.generation !== generation) throw enrolmentRefused()
  return item
}

async function credentials(platform: Platform, agent: AgentRecord) {
  const { instance, generation, lastIssued } = agent
  const topic = guestTopic(instance, generation)
  const expires = platform.clock.now() + CREDENTIALS_MS
  const kid = await usableKeyId(platform.keys, agent.kid)
  return {
    topic,
    conductor: CONDUCTOR_TOPIC,
    access: await platform.queueCredentials({ receive: [topic], send: [CONDUCTOR_TOPIC], expires }),
    expires,
    kid,
    keys: await machineSealKeys(platform.keys, kid, guestSubject(instance), generation),
    issued: lastIssued,
  }
}

function secretsEqual(received: string, expected: string): boolean {
  const [receivedBytes, expectedBytes] = [Buffer.from(received), Buffer.from(expected)]
  return receivedBytes.length === expectedBytes.length && timingSafeEqual(receivedBytes, expectedBytes)
}

const enrolmentRefused = () => new Fault(401, 'This enrolment is not valid.')
