import { type GuestMethods, guest } from '../lib/contracts/guest/guest.ts'
import { type Driver, RejectedByDatastore, type ServerControl } from '../lib/datastores/driver.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { readHardware } from '../lib/kit/os/process-stats.ts'
import { type Handlers, serve } from '../lib/kit/rpc/contract.ts'
import type { CommandEnd, Journal } from './journal.ts'

/** The driver's verbs for the methods of the agent's contract. */
const handlers: Handlers<GuestMethods, Driver & ServerControl> = {
  rpc_ping: async () => true,
  prepare: async ({ databases, users, allowed_cidrs: networks = [] }, driver) =>
    nullAfter(driver.prepare({ databases, users, networks })),
  create_database: async ({ databases }, driver) => nullAfter(driver.create_database(databases)),
  delete_database: async ({ name }, driver) => nullAfter(driver.delete_database(name)),
  list_databases: async (page, driver) => driver.list_databases(page),
  create_user: async ({ users }, driver) => nullAfter(driver.create_user(users)),
  delete_user: async ({ name, host }, driver) => nullAfter(driver.delete_user(name, host)),
  get_user: async ({ name, host }, driver) => (await driver.get_user(name, host)) ?? null,
  list_users: async (page, driver) => driver.list_users(page),
  change_passwords: async ({ users }, driver) => nullAfter(driver.change_passwords(users)),
  update_attributes: async ({ name, host, attributes }, driver) =>
    nullAfter(driver.update_attributes(name, host, attributes)),
  list_access: async ({ name, host }, driver) => driver.list_access(name, host),
  grant_access: async ({ name, host, databases }, driver) => nullAfter(driver.grant_access(name, host, databases)),
  revoke_access: async ({ name, host, database }, driver) => nullAfter(driver.revoke_access(name, host, database)),
  restart: async (_, driver) => nullAfter(driver.restart()),
  stop_db: async (_, driver) => nullAfter(driver.stop_db()),
  start_db_with_conf_changes: async (_, driver) => nullAfter(driver.start_db_with_conf_changes()),
  upgrade: async (_, driver) => nullAfter(driver.upgrade()),
  rebuild: async (_, driver) => nullAfter(driver.rebuild()),
  update_access: async ({ allowed_cidrs }, driver) => nullAfter(driver.update_access(allowed_cidrs)),
  enable_root_with_password: async ({ root_password }, driver) =>
    nullAfter(driver.enable_root_with_password(root_password)),
  disable_root: async (_, driver) => nullAfter(driver.disable_root()),
  is_root_enabled: async (_, driver) => driver.is_root_enabled(),
  get_hwinfo: async () => readHardware(),
  get_diagnostics: async (_, driver) => driver.diagnostics(),
  ssl_show: async (_, driver) => driver.ssl_show(),
  ssl_action: async ({ enable, mode = 'basic' }, driver) => driver.ssl_action(enable ? mode : undefined),
  ssl_rollback: async (_, driver) => driver.ssl_rollback(),
}

/** Commands without a result answer null. */
const nullAfter = async (work: Promise<void>): Promise<null> => {
  await work
  return null
}

/** Runs a method of the contract by the datastore's driver. */
export const dispatch = serve(guest, handlers)

/** What the execution of commands works with. */
export interface ExecutionParts extends RetryParts {
  driver: Driver & ServerControl
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
const DELETES: Record<string, (input: unknown, driver: Driver) => Promise<boolean>> = {
  async delete_database(input, driver) {
    const { name } = guest.methods.delete_database.input.parse(input)
    const { items } = await driver.list_databases({ limit: 1, marker: name, include_marker: true })
    return items.some(item => item.name === name)
  },
  async delete_user(input, driver) {
    const { name, host } = guest.methods.delete_user.input.parse(input)
    return (await driver.get_user(name, host)) !== undefined
  },
  async revoke_access(input, driver) {
    const { name, host, database } = guest.methods.revoke_access.input.parse(input)
    return (await driver.list_access(name, host)).some(granted => granted.name === database)
  },
}

const isDelete = (method: string): boolean => Object.hasOwn(DELETES, method)

/** Whether the subject of a delete may exist: true as well when the server cannot say so now. */
async function mayExist(method: string, input: unknown, driver: Driver): Promise<boolean> {
  const subjectExists = DELETES[method]?.(input, driver) ?? false
  return Promise.resolve(subjectExists).catch((error: unknown) => !(error instanceof RejectedByDatastore))
}

/** What a retry works with. */
interface RetryParts {
  driver: Pick<Driver, 'isConnectionLost'>
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
    const deadline = clock.now() + WAIT_MS
    do {
      await clock.sleep(POLL_MS)
    } while (!isServing(health().status) && clock.now() < deadline)
  }
}

const isServing = (status: string) => status === 'healthy' || status === 'running'
