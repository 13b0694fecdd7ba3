import { isDeepStrictEqual } from 'node:util'
import { type Instance, paginateDescribeInstances } from '@aws-sdk/client-ec2'
import { recordType, withOptimisticRetry } from '../../../kit/records.ts'
import type { StateReport } from '../../../ports/compute.ts'
import { machineStates } from '../../machine-state.ts'
import type { Ec2Context } from './context.ts'
import { findMachine, machineStateOf } from './machines.ts'
import { partFromTags, STAGE, type TaggedPart } from './tags.ts'

/** The machines that were not running when they were last polled. */
const watchLists = recordType<{ machines: TaggedPart[] }>('ec2-watch')
const NOT_RUNNING = ['stopping', 'stopped', 'shutting-down', 'terminated']

/**
 * State changes of machines that nobody requested. AWS is asked only for machines that do not run, so that the cost grows
 * with the number of failures; those are polled until they are reported to run again.
 */
export async function ec2PollStates(context: Ec2Context): Promise<StateReport[]> {
  const { store, deployment } = context
  const failed = new Map((await notRunning(context)).map(({ part, machine }) => [part.name, { part, machine }]))
  const previous = (await watchLists.get(store, '*', deployment))?.body.machines ?? []
  const reports: StateReport[] = []
  const watched: TaggedPart[] = []
  for (const { part, machine } of failed.values()) {
    const change = await stateChange(context, part, machine)
    if (change === 'deleted') continue
    watched.push(part)
    if (change) reports.push(change)
  }
  for (const part of previous.filter(({ name }) => !failed.has(name))) {
    const change = await stateChange(context, part)
    if (!change || change === 'deleted') continue
    watched.push(part)
    reports.push(change)
  }
  await saveWatchList(context, watched)
  return reports
}

async function notRunning({
  client,
  call,
  deployment,
}: Ec2Context): Promise<{ part: TaggedPart; machine: Instance }[]> {
  const Filters = [
    { Name: `tag:${STAGE}`, Values: [deployment] },
    { Name: 'instance-state-name', Values: NOT_RUNNING },
  ]
  const machines = await call('list the machines that do not run', async () => {
    const all: Instance[] = []
    for await (const { Reservations = [] } of paginateDescribeInstances({ client, pageSize: 1_000 }, { Filters })) {
      all.push(...Reservations.flatMap(({ Instances = [] }) => Instances))
    }
    return all
  })
  return (machines ?? []).flatMap(machine => {
    const part = partFromTags(machine.Tags)
    return part ? [{ part, machine }] : []
  })
}

/** The report of a machine whose state differs from the recorded one; undefined while it is created or changed. */
async function stateChange(
  context: Ec2Context,
  part: TaggedPart,
  listed?: Instance,
): Promise<StateReport | 'deleted' | undefined> {
  const intent = await context.intents.read(part)
  if (!intent || intent.deleted) return 'deleted'
  const recorded = (await machineStates.get(context.store, part.project, part.name))?.body.state
  // The saga that creates or changes a machine reads its state itself.
  if (intent.inProgress || !recorded || recorded.status === 'BUILD') return undefined
  const machine = listed ?? (await findMachine(context, part, intent))
  const state = machineStateOf(machine, intent, intent.port ?? 0)
  return state.status === recorded.status ? undefined : { ...part, state, sequence: context.nextSequence() }
}

async function saveWatchList({ store, deployment }: Ec2Context, machines: TaggedPart[]): Promise<void> {
  await withOptimisticRetry(store, async () => {
    const previous = await watchLists.get(store, '*', deployment)
    const previousNames = previous?.body.machines.map(({ name }) => name) ?? []
    const names = machines.map(({ name }) => name)
    if (isDeepStrictEqual(previousNames, names)) return { changes: [], result: undefined }
    const body = { machines }
    return {
      changes: [previous ? watchLists.replace(previous, body) : watchLists.create('*', deployment, body)],
      result: undefined,
    }
  })
}
