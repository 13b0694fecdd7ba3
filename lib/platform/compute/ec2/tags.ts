import { createHash } from 'node:crypto'

/** What every part is told apart by; the rights of the functions end at the deployment's own. */
export const STAGE = 'coffer-stage'
export const NAME = 'coffer-name'
export const INSTANCE = 'coffer-instance'
export const PROJECT = 'coffer-project'
/** The name of the engine that the machine shall run; it reads its tags when it starts. */
export const ENGINE = 'coffer-engine'

export interface Owned {
  name: string
  instance: string
  project: string
}

/** The tags of a part. What goes with it without being found by its name (a root disk) has none of `NAME`. */
export function tagsOf(deployment: string, of: Owned, { named = true } = {}): { Key: string; Value: string }[] {
  const tags = { Name: `${deployment}-${of.name}`, [STAGE]: deployment, [INSTANCE]: of.instance, [PROJECT]: of.project }
  return Object.entries(named ? { ...tags, [NAME]: of.name } : tags).map(([Key, Value]) => ({ Key, Value }))
}

/** Whose part it is, by its tags. */
export function ownerOf(
  tags: { Key?: string | undefined; Value?: string | undefined }[] | undefined,
): Owned | undefined {
  const value = (key: string) => tags?.find(({ Key }) => Key === key)?.Value
  const [name, instance, project] = [value(NAME), value(INSTANCE), value(PROJECT)]
  return name && instance && project ? { name, instance, project } : undefined
}

/** Finds the part of that name in the deployment. */
export const filtersOf = (deployment: string, name: string) => [
  { Name: `tag:${STAGE}`, Values: [deployment] },
  { Name: `tag:${NAME}`, Values: [name] },
]

/** The client token of the call that makes the part: repeated with it, AWS makes nothing twice. 64 characters, as many as it takes. */
export const tokenOf = (deployment: string, name: string): string =>
  createHash('sha256').update(`${deployment}/${name}`).digest('hex')
