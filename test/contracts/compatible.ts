/** The part of JSON Schema that contracts use. */
export interface Schema {
  type?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
}

/** A contract as stored in its golden file. */
export type Printed = Record<string, { kind: string; input: Schema; output?: Schema }>

/** The changes that a peer with the earlier version of the contract could not read. */
export function breaks(before: Printed, now: Printed): string[] {
  return Object.entries(before).flatMap(([name, method]) => {
    const current = now[name]
    if (!current) return [`${name} is gone`]
    const kind = current.kind === method.kind ? [] : [`${name} is a ${current.kind}, was a ${method.kind}`]
    const output = method.output && current.output ? schemaBreaks(`${name}.output`, method.output, current.output) : []
    return [...kind, ...schemaBreaks(`${name}.input`, method.input, current.input), ...output]
  })
}

function schemaBreaks(path: string, before: Schema, now: Schema): string[] {
  if (before.type !== now.type) return [`${path} is ${now.type}, was ${before.type}`]
  const newlyRequired = (now.required ?? [])
    .filter(name => !(before.required ?? []).includes(name))
    .map(name => `${path} needs ${name}`)
  const inner = Object.entries(before.properties ?? {}).flatMap(([name, schema]) => {
    const current = now.properties?.[name]
    return current ? schemaBreaks(`${path}.${name}`, schema, current) : [`${path} has lost ${name}`]
  })
  const items = before.items && now.items ? schemaBreaks(`${path}[]`, before.items, now.items) : []
  return [...newlyRequired, ...inner, ...items]
}
