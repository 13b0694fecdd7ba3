import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { conductor } from '../../lib/contracts/conductor.ts'
import { enrolment } from '../../lib/contracts/enrol.ts'
import { guest } from '../../lib/contracts/guest/guest.ts'
import { host } from '../../lib/contracts/host.ts'
import { HostAccess } from '../../lib/contracts/host-access.ts'
import { taskmanager } from '../../lib/contracts/taskmanager.ts'
import { type Contract, cast, contract, query } from '../../lib/kit/rpc/contract.ts'
import { breaks, type Printed } from './compatible.ts'

const FOLDER = join(import.meta.dirname, '..', 'golden', 'contracts')
/** A host daemon reads its access from a file, which a program of another version may have written. */
const hostAccess = contract('host-access', { start: cast(HostAccess) })
const CONTRACTS: Contract[] = [taskmanager, conductor, guest, host, enrolment, hostAccess]

function toPrinted({ methods }: Contract): Printed {
  const schema = (type: z.ZodType, io: 'input' | 'output') => JSON.parse(JSON.stringify(z.toJSONSchema(type, { io })))
  return Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [
      name,
      {
        kind: method.kind,
        input: schema(method.input, 'input'),
        ...('output' in method && { output: schema(method.output, 'output') }),
      },
    ]),
  )
}

describe('contracts', () => {
  it.each(CONTRACTS.map(wire => [wire.name, wire] as const))(
    '%s stays readable for agents that are already deployed',
    (name, wire) => {
      const path = join(FOLDER, `${name}.json`)
      const now = toPrinted(wire)
      // UPDATE_GOLDEN=1 accepts a new contract or an intended compatible change.
      if (process.env['UPDATE_GOLDEN'] || !existsSync(path)) writeFileSync(path, `${JSON.stringify(now, null, 2)}\n`)
      const golden = JSON.parse(readFileSync(path, 'utf8')) as Printed
      expect(breaks(golden, now)).toEqual([])
      expect(now).toEqual(golden)
    },
  )

  it('break when a method or a field is removed, or a required field is added', () => {
    const before = toPrinted(guest)
    const changed = structuredClone(before)
    delete changed['rpc_ping']
    delete changed['delete_user']?.input.properties?.['name']
    changed['create_user']?.input.required?.push('more')
    const output = changed['list_access']?.output
    if (output) output.type = 'object'
    expect(breaks(before, changed)).toEqual([
      'rpc_ping is gone',
      'create_user.input needs more',
      'delete_user.input has lost name',
      'list_access.output is object, was array',
    ])
  })

  it('break when an alternative, a fixed value or the values of a record change, or an answer may lack a field', () => {
    const printed = (access: z.ZodType, answer: z.ZodType) => toPrinted(contract('x', { enrol: query(access, answer) }))
    const socket = z.object({ kind: z.literal('socket'), token: z.string() })
    const sqs = z.object({ kind: z.literal('sqs'), urls: z.record(z.string(), z.string()) })
    const wire = { access: z.discriminatedUnion('kind', [socket, sqs]), answer: z.object({ ca: z.string() }) }
    const before = printed(wire.access, wire.answer)
    const afterChange = (changes: Partial<Record<keyof typeof wire, z.ZodType>>) =>
      breaks(before, printed(changes.access ?? wire.access, changes.answer ?? wire.answer))
    const rabbitmq = z.object({ kind: z.literal('rabbitmq'), url: z.string() })
    expect(afterChange({ access: z.discriminatedUnion('kind', [rabbitmq, sqs, socket]) })).toEqual([])
    expect(afterChange({ access: z.union([sqs]) })).toEqual(['enrol.input has lost the form "socket"'])
    const longer = socket.extend({ user: z.string() })
    expect(afterChange({ access: z.union([longer, sqs]) })).toEqual(['enrol.input("socket") needs user'])
    const numbers = sqs.extend({ urls: z.record(z.string(), z.number()) })
    expect(afterChange({ access: z.union([socket, numbers]) })).toEqual([
      'enrol.input("sqs").urls.* is number, was string',
    ])
    expect(afterChange({ answer: wire.answer.partial() })).toEqual(['enrol.output may lack ca'])
  })
})
