import { z } from 'zod'

/** The placeholder of an erased secret. */
export const ERASED = '[erased]'

/**
 * Marks a string in a schema as secret: it is encrypted wherever it is stored, and erased after its last use.
 *
 * @example
 * const User = z.object({ name: z.string(), password: secret(z.string()) })
 */
export function secret<S extends z.ZodType<string>>(schema: S): S {
  return schema.meta({ secret: true })
}

/** A copy of the value in which `change` is applied to every secret of the schema. */
export async function mapSecrets(
  schema: z.core.$ZodType,
  value: unknown,
  change: (text: string) => Promise<string>,
): Promise<unknown> {
  if (value === undefined || value === null || !containsSecret(schema)) return value
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

const CONTAINS_SECRET = new WeakMap<z.core.$ZodType, boolean>()

/** Whether a value of the schema can contain secrets. Most cannot, and need not be searched. */
function containsSecret(schema: z.core.$ZodType): boolean {
  const cached = CONTAINS_SECRET.get(schema)
  if (cached !== undefined) return cached
  const result =
    (schema instanceof z.ZodType && schema.meta()?.['secret'] === true) || partsOf(schema).some(containsSecret)
  CONTAINS_SECRET.set(schema, result)
  return result
}

function partsOf(schema: z.core.$ZodType): z.core.$ZodType[] {
  const inner = unwrap(schema)
  if (inner) return [inner]
  if (schema instanceof z.ZodArray) return [schema.element]
  return schema instanceof z.ZodObject ? Object.values(schema.shape as Record<string, z.core.$ZodType>) : []
}

/** Whether a secret of the value was erased, so that the value cannot be used again. */
export async function isErased(schema: z.core.$ZodType, value: unknown): Promise<boolean> {
  let erased = false
  await mapSecrets(schema, value, async text => {
    erased ||= text === ERASED
    return text
  })
  return erased
}

/** The schema inside of `optional`, `nullable` or `default`. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return schema.unwrap()
  if (schema instanceof z.ZodDefault) return schema.unwrap()
  return undefined
}
