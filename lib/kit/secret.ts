import { z } from 'zod'

/** What stands where a secret was, once its use has ended. */
export const ERASED = '[erased]'

/** Marks a string of a schema as secret: encrypted wherever it is stored, erased when its use ends. */
export function secret<S extends z.ZodType<string>>(schema: S): S {
  return schema.meta({ secret: true })
}

/** The value with `change` applied to every secret of its schema; everything else is as it was. */
export async function mapSecrets(
  schema: z.core.$ZodType,
  value: unknown,
  change: (text: string) => Promise<string>,
): Promise<unknown> {
  if (value === undefined || value === null || !holdsSecret(schema)) return value
  if (schema instanceof z.ZodType && schema.meta()?.['secret'] === true) return change(String(value))
  const inner = unwrap(schema)
  if (inner) return mapSecrets(inner, value, change)
  if (schema instanceof z.ZodArray && Array.isArray(value)) {
    return Promise.all(value.map(item => mapSecrets(schema.element, item, change)))
  }
  if (schema instanceof z.ZodObject && typeof value === 'object') {
    const copy: Record<string, unknown> = { ...value }
    for (const [name, field] of Object.entries(schema.shape as Record<string, z.core.$ZodType>)) {
      if (name in copy) copy[name] = await mapSecrets(field, copy[name], change)
    }
    return copy
  }
  return value
}

const HOLDS = new WeakMap<z.core.$ZodType, boolean>()

/** Whether a value of the schema can have secrets: most have none, and need not be looked through. */
function holdsSecret(schema: z.core.$ZodType): boolean {
  const known = HOLDS.get(schema)
  if (known !== undefined) return known
  const found = (schema instanceof z.ZodType && schema.meta()?.['secret'] === true) || partsOf(schema).some(holdsSecret)
  HOLDS.set(schema, found)
  return found
}

function partsOf(schema: z.core.$ZodType): z.core.$ZodType[] {
  const inner = unwrap(schema)
  if (inner) return [inner]
  if (schema instanceof z.ZodArray) return [schema.element]
  return schema instanceof z.ZodObject ? Object.values(schema.shape as Record<string, z.core.$ZodType>) : []
}

/** Whether a secret of the value was erased: it cannot be used again. */
export async function hasErased(schema: z.core.$ZodType, value: unknown): Promise<boolean> {
  let found = false
  await mapSecrets(schema, value, async text => {
    found ||= text === ERASED
    return text
  })
  return found
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return schema.unwrap()
  if (schema instanceof z.ZodDefault) return schema.unwrap()
  return undefined
}
