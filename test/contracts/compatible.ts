/** As much of JSON Schema as contracts use. */
export interface Schema {
  type?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
}

/** A contract as its golden file keeps it. */
export type Printed = Record<string, { kind: string; input: Schema; output?: Schema }>

/** What a peer that knows only the contract of before could not read any more. */
export function breaks(before: Printed, now: Printed): string[] {
  return Object.entries(before).flatMap(([name, method]) => {
    const same = now[name]
    if (!same) return [`${name} is gone`]
    const kind = same.kind === method.kind ? [] : [`${name} is a ${same.kind}, was a ${method.kind}`]
    const output = method.output && same.output ? schemaBreaks(`${name}.output`, method.output, same.output) : []
    return [...kind, ...schemaBreaks(`${name}.input`, method.input, same.input), ...output]
  })
}

function schemaBreaks(path: string, before: Schema, now: Schema): string[] {
  if (before.type !== now.type) return [`${path} is ${now.type}, was ${before.type}`]
  const needed = (now.required ?? [])
    .filter(name => !(before.required ?? []).includes(name))
    .map(name => `${path} needs ${name}`)
  const inner = Object.entries(before.properties ?? {}).flatMap(([name, schema]) => {
    const same = now.properties?.[name]
    return same ? schemaBreaks(`${path}.${name}`, schema, same) : [`${path} has lost ${name}`]
  })
  const items = before.items && now.items ? schemaBreaks(`${path}[]`, before.items, now.items) : []
  return [...needed, ...inner, ...items]
}
