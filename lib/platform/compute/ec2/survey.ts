import { type Instance, paginateDescribeInstances } from '@aws-sdk/client-ec2'
import { kind, retrying } from '../../../kit/records.ts'
import type { Told } from '../compute.ts'
import { observations } from '../facts.ts'
import { factsOf, machineOf } from './machines.ts'
import { type Owned, ownerOf, STAGE } from './tags.ts'
import type { Tools } from './tools.ts'

/** The machines that were not running when they were last looked at. */
const watch = kind<{ machines: Owned[] }>('ec2-watch')
const NOT_RUNNING = ['stopping', 'stopped', 'shutting-down', 'terminated']

/**
 * What became of machines by itself: AWS is asked for those alone that do not run, so that the cost follows what is ill;
 * and those that did not run are looked at until they are known to run again.
 */
export async function ec2Survey(tools: Tools): Promise<Told[]> {
  const { store, deployment } = tools
  const ill = new Map((await notRunning(tools)).map(({ of, machine }) => [of.name, { of, machine }]))
  const before = (await watch.get(store, '*', deployment))?.body.machines ?? []
  const told: Told[] = []
  const watched: Owned[] = []
  for (const { of, machine } of ill.values()) {
    const news = await newsOf(tools, of, machine)
    if (news === 'forgotten') continue
    watched.push(of)
    if (news) told.push(news)
  }
  for (const of of before.filter(({ name }) => !ill.has(name))) {
    const news = await newsOf(tools, of)
    if (!news || news === 'forgotten') continue
    watched.push(of)
    told.push(news)
  }
  await remember(tools, watched)
  return told
}

async function notRunning({ client, ask, deployment }: Tools): Promise<{ of: Owned; machine: Instance }[]> {
  const Filters = [
    { Name: `tag:${STAGE}`, Values: [deployment] },
    { Name: 'instance-state-name', Values: NOT_RUNNING },
  ]
  const machines = await ask('look at the machines', async () => {
    const all: Instance[] = []
    for await (const { Reservations = [] } of paginateDescribeInstances({ client, pageSize: 1_000 }, { Filters })) {
      all.push(...Reservations.flatMap(({ Instances = [] }) => Instances))
    }
    return all
  })
  return (machines ?? []).flatMap(machine => {
    const of = ownerOf(machine.Tags)
    return of ? [{ of, machine }] : []
  })
}

/** What is to be told of a machine; nothing if it is known, or being changed. One that was removed is forgotten. */
async function newsOf(tools: Tools, of: Owned, seen?: Instance): Promise<Told | 'forgotten' | undefined> {
  const note = await tools.notes.read(of)
  if (!note || note.buried) return 'forgotten'
  const known = (await observations.get(tools.store, of.project, of.name))?.body.facts
  // What is being made or changed is looked at by whoever does that.
  if (note.doing || !known || known.status === 'BUILD') return undefined
  const machine = seen ?? (await machineOf(tools, of, note))
  const facts = factsOf(machine, note, note.port ?? 0)
  return facts.status === known.status ? undefined : { ...of, facts, sent: tools.nextSent() }
}

async function remember({ store, deployment }: Tools, machines: Owned[]): Promise<void> {
  await retrying(store, async () => {
    const known = await watch.get(store, '*', deployment)
    const same = JSON.stringify(known?.body.machines.map(({ name }) => name) ?? [])
    if (same === JSON.stringify(machines.map(({ name }) => name))) return { changes: [], result: undefined }
    const body = { machines }
    return {
      changes: [known ? watch.replace(known, body) : watch.create('*', deployment, body)],
      result: undefined,
    }
  })
}
