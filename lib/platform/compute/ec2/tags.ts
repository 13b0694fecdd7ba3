import { createHash } from 'node:crypto'

/** The tags by which parts are identified; the functions have rights to parts with their deployment's tag only. */
export const STAGE = 'coffer-stage'
const NAME = 'coffer-name'
const INSTANCE = 'coffer-instance'
const PROJECT = 'coffer-project'
/** The engine that the machine runs; it reads its tags when it starts. */
export const ENGINE = 'coffer-engine'

export interface TaggedPart {
  name: string
  instance: string
  project: string
}

/** The tags of a part. What belongs to it but is never searched for by name (a root disk) has no `NAME`. */
export function partTags(
  deployment: string,
  part: TaggedPart,
  { named = true } = {},
): { Key: string; Value: string }[] {
  const tags = {
    Name: `${deployment}-${part.name}`,
    [STAGE]: deployment,
    [INSTANCE]: part.instance,
    [PROJECT]: part.project,
  }
  return Object.entries(named ? { ...tags, [NAME]: part.name } : tags).map(([Key, Value]) => ({ Key, Value }))
}

/** The part that the tags name; undefined if they name none. */
export function partFromTags(
  tags: { Key?: string | undefined; Value?: string | undefined }[] | undefined,
): TaggedPart | undefined {
  const value = (key: string) => tags?.find(({ Key }) => Key === key)?.Value
  const [name, instance, project] = [value(NAME), value(INSTANCE), value(PROJECT)]
  return name && instance && project ? { name, instance, project } : undefined
}

/** The filters that find the part of that name in the deployment. */
export const tagFilters = (deployment: string, name: string) => [
  { Name: `tag:${STAGE}`, Values: [deployment] },
  { Name: `tag:${NAME}`, Values: [name] },
]

/** The client token of the call that creates the part, so that AWS creates nothing twice. 64 characters, AWS's maximum. */
export const clientToken = (deployment: string, name: string): string =>
  createHash('sha256').update(`${deployment}/${name}`).digest('hex')
