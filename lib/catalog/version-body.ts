import { z } from 'zod'

/** 1 to 255 printable characters, at least one letter or digit, as in Trove. */
const Name = z
  .string()
  .max(255, { error: 'is too long', abort: true })
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'has a character that cannot be printed')
  .regex(/[0-9a-zA-Z]/, 'does not have a letter or a digit')

const fields = {
  /** An engine, by its id or its name. */
  image: z.string().max(255, 'is too long').nullish(),
  image_tags: z.array(Name).max(5, 'are more than 5').nullish(),
  packages: z.array(Name).max(20, 'are more than 20').nullish(),
  default: z.boolean().nullish(),
  /** Creates that name no datastore get this version's. */
  default_datastore: z.boolean().nullish(),
  registry_ext: Name.nullish(),
  repl_strategy: Name.nullish(),
}

/** The body of `POST /mgmt/datastore-versions`. */
export const NewVersion = z.object({
  version: z.strictObject({
    ...fields,
    name: Name,
    datastore_name: Name,
    datastore_manager: Name,
    active: z.boolean(),
    version: Name.nullish(),
  }),
})
export type NewVersion = z.infer<typeof NewVersion>['version']

/** The body of `PATCH /mgmt/datastore-versions/{id}`: the fields themselves, not under `version`. */
export const VersionChange = z.strictObject({
  ...fields,
  name: Name.optional(),
  datastore_manager: Name.optional(),
  active: z.boolean().optional(),
})
export type VersionChange = z.infer<typeof VersionChange>
