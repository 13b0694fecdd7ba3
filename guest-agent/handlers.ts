import { type GuestMethods, guest } from '../lib/contracts/guest/guest.ts'
import { type AnyDriver, RejectedByDatastore, type ServerControl } from '../lib/datastores/driver.ts'
import { type Clock, elapsedMs, type Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { readHardware } from '../lib/kit/os/process-stats.ts'
import { type Handlers, serve } from '../lib/kit/rpc/contract.ts'
import type { CommandEnd, Journal } from './journal.ts'

/** What serves the methods of an instance: a datastore's verbs, and the control of its server. */
export type AgentDriver = AnyDriver & ServerControl

type Method = keyof GuestMethods
type MethodHandlers = Handlers<GuestMethods, AgentDriver>

/** Methods that are no verb of the driver under the same name. */
const agentHandlers: Pick<MethodHandlers, 'rpc_ping' | 'get_hwinfo' | 'get_diagnostics'> = {
  rpc_ping: async () => true,
  get_hwinfo: async () => readHardware(),
  get_diagnostics: async (_, driver) => driver.diagnostics(),
}

const isAgents = (method: Method): method is keyof typeof agentHandlers => Object.hasOwn(agentHandlers, method)
type VerbName = Exclude<Method, keyof typeof agentHandlers>

/** Calls the driver's verb of that name. Its type is derived from the method's, so that input and result fit. */
function verbHandler(method: VerbName) {
  return async (input: never, driver: AgentDriver): Promise<unknown> => {
    const verb = driver[method] as ((input: never) => Promise<unknown>) | undefined
    if (!verb) throw new RejectedByDatastore(501, `The '${method}' operation is not supported for this datastore.`)
    return verb.call(driver, input)
  }
}

const methods = Object.keys(guest.methods) as Method[]
const handlers = Object.fromEntries(
  methods.map(method => [method, isAgents(method) ? agentHandlers[method] : verbHandler(method)]),
) as MethodHandlers

/** Runs a method of the contract by the datastore's driver. */
export const dispatch = serve(guest, handlers)

/** What the execution of commands works with. */
export interface ExecutionParts extends RetryParts {
  driver: AgentDriver
  journal: Journal
  log: Log
  /** After a command that succeeded: `prepare` makes the database serve. */
  onSuccess(method: string): Promise<void> | void
  onFailure(method: string, message: string): Promise<void> | void
}

/** Executes one command; resolves to how it ended. */
export async function executeCommand(
  parts: ExecutionParts,
  { number, method, input, requestId }: { number: number; method: string; input: unknown; requestId: string },
): Promise<CommandEnd> {
  const { driver, log, onSuccess, onFailure } = parts
  const trace = log.child({ method, number, requestId })
  const isRepetition = await recordDelete(parts, number, method, input)
  try {
    const work = () => dispatch(method, input, driver)
    const result = await retryWhileRestarting(parts, work).catch((error: unknown) => {
      if (!isRepetition || !(error instanceof RejectedByDatastore) || error.code !== 404) throw error
      trace.info({}, 'the command was done already')
      return null
    })
    await onSuccess(method)
    trace.info({}, 'command done')
    return { number, result }
  } catch (error) {
    trace.error({ error: messageOf(error) }, 'command failed')
    const rejected = error instanceof RejectedByDatastore
    const message = rejected ? error.message : `${method} failed: ${messageOf(error)}`
    await onFailure(method, message)
    return { number, failed: { code: rejected ? error.code : 500, message: message.slice(0, 2_000) } }
  }
}

/**
 * Records that a delete begins, so that after a crash "already deleted" differs from "never existed". Returns whether
 * it had begun before a crash. A delete without a subject is not recorded.
 */
async function recordDelete(
  { journal, driver }: ExecutionParts,
  number: number,
  method: string,
  input: unknown,
): Promise<boolean> {
  if (!isDelete(method)) return false
  if (journal.isUnfinished(number)) return true
  if (await mayExist(method, input, driver)) await journal.begin(number)
  return false
}

/** Commands whose repetition is rejected with 404, because they were done; each tells whether its subject exists. */
const DELETES: Record<string, (input: unknown, driver: AnyDriver) => Promise<boolean>> = {
  async delete_database(input, driver) {
    const { name } = guest.methods.delete_database.input.parse(input)
    const page = await driver.list_databases?.({ limit: 1, marker: name, include_marker: true })
    return (page?.items ?? []).some(item => item.name === name)
  },
  async delete_user(input, driver) {
    return Boolean(await driver.get_user?.(guest.methods.delete_user.input.parse(input)))
  },
  async revoke_access(input, driver) {
    const { database, ...user } = guest.methods.revoke_access.input.parse(input)
    return ((await driver.list_access?.(user)) ?? []).some(granted => granted.name === database)
  },
}

const isDelete = (method: string): boolean => Object.hasOwn(DELETES, method)

/** Whether the subject of a delete may exist: true as well when the server cannot say so now. */
async function mayExist(method: string, input: unknown, driver: AnyDriver): Promise<boolean> {
  const subjectExists = DELETES[method]?.(input, driver) ?? false
  return Promise.resolve(subjectExists).catch((error: unknown) => !(error instanceof RejectedByDatastore))
}

/** What a retry works with. */
interface RetryParts {
  driver: Pick<AnyDriver, 'isConnectionLost'>
  clock: Clock
  health(): { status: string }
}

/** How often a command is tried whose server dies, and how long each retry waits for the server. */
const TRIES = 3
const WAIT_MS = 30_000
/** Longer than the supervisor needs to notice the end of the server. */
const POLL_MS = 500

/** If the server dies during a command, waits until it serves and runs the command again; commands are repeatable. */
export async function retryWhileRestarting<T>(
  { driver, clock, health }: RetryParts,
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= TRIES || !driver.isConnectionLost?.(error)) throw error
    }
    const start = clock.now()
    do {
      await clock.sleep(POLL_MS)
    } while (!isServing(health().status) && elapsedMs(clock.now(), start) < WAIT_MS)
  }
}

const isServing = (status: string) => status === 'healthy' || status === 'running'
