/** The part of JSON Schema that contracts use. */
export interface Schema {
  type?: string
  const?: unknown
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  /** The schema of a record's values. */
  additionalProperties?: boolean | Schema
  anyOf?: Schema[]
  oneOf?: Schema[]
}

/** A contract as stored in its golden file. */
export type Printed = Record<string, { kind: string; input: Schema; output?: Schema }>

/** The changes that a peer with the earlier version of the contract could not read. */
export function breaks(before: Printed, now: Printed): string[] {
  return Object.entries(before).flatMap(([name, method]) => {
    const current = now[name]
    if (!current) return [`${name} is gone`]
    const kind = current.kind === method.kind ? [] : [`${name} is a ${current.kind}, was a ${method.kind}`]
    const input = schemaBreaks(`${name}.input`, method.input, current.input)
    return [...kind, ...input, ...outputBreaks(`${name}.output`, method.output, current.output)]
  })
}

function outputBreaks(path: string, before: Schema | undefined, now: Schema | undefined): string[] {
  return before && now ? [...schemaBreaks(path, before, now), ...newlyOptional(path, before, now)] : []
}

function schemaBreaks(path: string, before: Schema, now: Schema): string[] {
  if (before.type !== now.type) return [`${path} is ${now.type}, was ${before.type}`]
  if (before.const !== now.const)
    return [`${path} is ${JSON.stringify(now.const)}, was ${JSON.stringify(before.const)}`]
  const newlyRequired = (now.required ?? [])
    .filter(name => !(before.required ?? []).includes(name))
    .map(name => `${path} needs ${name}`)
  const inner = Object.entries(before.properties ?? {}).flatMap(([name, schema]) => {
    const current = now.properties?.[name]
    return current ? schemaBreaks(`${path}.${name}`, schema, current) : [`${path} has lost ${name}`]
  })
  const items = before.items && now.items ? schemaBreaks(`${path}[]`, before.items, now.items) : []
  const values = [before, now].map(valuesOf)
  const record = values[0] && values[1] ? schemaBreaks(`${path}.*`, values[0], values[1]) : []
  return [...newlyRequired, ...inner, ...items, ...record, ...alternativeBreaks(path, before, now)]
}

/** Each alternative of before must be readable by the one of now that takes its place; others may be added. */
function alternativeBreaks(path: string, before: Schema, now: Schema): string[] {
  const candidates = alternativesOf(now)
  return alternativesOf(before).flatMap((alternative, index) => {
    const name = nameOf(alternative) ?? String(index)
    const current =
      nameOf(alternative) === undefined ? candidates[index] : candidates.find(other => nameOf(other) === name)
    return current ? schemaBreaks(`${path}(${name})`, alternative, current) : [`${path} has lost the form ${name}`]
  })
}

/** The fields that an answer always had, and may lack now. */
function newlyOptional(path: string, before: Schema, now: Schema): string[] {
  const missing = (before.required ?? [])
    .filter(name => now.properties?.[name] && !(now.required ?? []).includes(name))
    .map(name => `${path} may lack ${name}`)
  const inner = Object.entries(before.properties ?? {}).flatMap(([name, schema]) => {
    const current = now.properties?.[name]
    return current ? newlyOptional(`${path}.${name}`, schema, current) : []
  })
  return [...missing, ...inner]
}

const alternativesOf = ({ anyOf = [], oneOf = [] }: Schema) => [...anyOf, ...oneOf]

const valuesOf = ({ additionalProperties }: Schema) =>
  typeof additionalProperties === 'object' ? additionalProperties : undefined

/** What tells an alternative from the others: the fixed value of one of its fields. */
function nameOf({ properties = {} }: Schema): string | undefined {
  const fixed = Object.values(properties).find(property => property.const !== undefined)
  return fixed && JSON.stringify(fixed.const)
}
