import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { conductor } from '../../lib/contracts/conductor.ts'
import { guest } from '../../lib/contracts/guest/guest.ts'
import { host } from '../../lib/contracts/host.ts'
import { taskmanager } from '../../lib/contracts/taskmanager.ts'
import type { Contract } from '../../lib/kit/rpc/contract.ts'
import { breaks, type Printed } from './compatible.ts'

const FOLDER = join(import.meta.dirname, '..', 'golden', 'contracts')
const CONTRACTS: Contract[] = [taskmanager, conductor, guest, host]

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
})
