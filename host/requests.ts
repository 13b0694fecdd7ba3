import { hostSubject } from '../lib/contracts/conductor.ts'
import { HostMessage, type HostMethods, host } from '../lib/contracts/host.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { readEnvelope, type Sealer } from '../lib/kit/crypto/seal.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { type Handlers, serve } from '../lib/kit/rpc/contract.ts'
import type { Message, Queue } from '../lib/ports/queue.ts'
import type { HostConfig } from './config.ts'

/** How long to wait before a queue that could not be reached is tried again. */
const RETRY_MS = 500

interface RequestsParts {
  config: Pick<HostConfig, 'hostId' | 'topic'>
  queue: Pick<Queue, 'receive' | 'ack'>
  sealer: Sealer
  handlers: Handlers<HostMethods, undefined>
  clock: Clock
  log: Log
}

/**
 * Receives the requests to a host daemon until `signal` is aborted. A request that cannot be read or handled is
 * dropped.
 */
export async function receiveRequests(parts: RequestsParts, signal: AbortSignal): Promise<void> {
  const { config, queue, handlers, clock, log } = parts
  const dispatch = serve<HostMethods, undefined>(host, handlers)
  const handle = async (message: Message) => {
    try {
      const { method, input } = await openRequest(message, parts)
      await dispatch(method, input, undefined)
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'request dropped')
    }
    await queue.ack(config.topic, [message.receipt]).catch(() => {})
  }
  while (!signal.aborted) {
    try {
      for (const message of await queue.receive(config.topic, { max: 10, waitMs: 20_000, signal })) void handle(message)
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the queue cannot be reached')
      await clock.sleep(RETRY_MS, signal)
    }
  }
}

async function openRequest({ body }: Message, { config, sealer, clock }: RequestsParts) {
  const envelope = readEnvelope(body)
  if (envelope.subject !== hostSubject(config.hostId) || envelope.direction !== 'down') {
    throw new Error('not for this host')
  }
  if (envelope.expires < clock.now()) throw new Error('expired')
  return HostMessage.parse(await sealer.open(envelope))
}
