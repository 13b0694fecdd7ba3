import type { Random } from '../../../kit/clock.ts'
import type { Stored } from '../../../kit/records.ts'
import { type AppCredential, type AppCredentials, NameTaken, TooMany } from '../../../ports/accounts.ts'
import { type Change, Conflict, type Store } from '../../../ports/store.ts'
import { listUnder } from './accounts.ts'
import { hashPassword, type PasswordHash } from './passwords.ts'
import { ALL_ACCOUNTS, credentialIds, credentials, hashId, isId } from './records.ts'

/** How many application credentials a user may have. */
export const MAX_CREDENTIALS = 100

type StoredCredential = AppCredential & { secret: PasswordHash }

/** Application credentials in the store, under the project `*`. */
export function appCredentials(store: Store, random: Random): AppCredentials {
  return {
    create: (credential, secret, also) => create(store, random, credential, secret, also),
    newSecret: () => Buffer.from(random.bytes(64)).toString('base64url'),
    byId: async id => withoutSecret(await credentialRecord(store, { id })),
    byName: async (user, name) => withoutSecret(await credentialRecord(store, { user, name })),
    listOf: userId => listOf(store, userId),
    async remove({ id, user, name }, also = []) {
      await store.transact([
        { op: 'delete', key: credentials.key(ALL_ACCOUNTS, recordId(user, name)) },
        { op: 'delete', key: credentialIds.key(ALL_ACCOUNTS, id) },
        ...also,
      ])
    },
  }
}

/** A credential's record with the hash of its secret; for the logins only. */
export async function credentialRecord(
  store: Store,
  which: { id: string } | { user: string; name: string },
): Promise<Stored<StoredCredential> | undefined> {
  if ('name' in which) {
    return isId(which.user) ? credentials.get(store, ALL_ACCOUNTS, recordId(which.user, which.name)) : undefined
  }
  const pointer = isId(which.id) ? await credentialIds.get(store, ALL_ACCOUNTS, which.id) : undefined
  const record = pointer && (await credentials.get(store, ALL_ACCOUNTS, pointer.body.at))
  // Another one of the same name may have been created since the pointer was read.
  return record?.body.id === which.id ? record : undefined
}

/** A credential without the hash of its secret. */
export function withoutSecret(record: Stored<StoredCredential> | undefined): AppCredential | undefined {
  if (!record) return undefined
  const { secret: _, ...credential } = record.body
  return credential
}

const recordId = (user: string, name: string) => `${user}/${hashId(name)}`

async function create(
  store: Store,
  random: Random,
  spec: Omit<AppCredential, 'id'>,
  secret: string,
  also: (created: AppCredential) => Change[] = () => [],
): Promise<AppCredential> {
  if ((await listOf(store, spec.user)).length >= MAX_CREDENTIALS) {
    throw new TooMany(`a user may have ${MAX_CREDENTIALS} application credentials`)
  }
  const credential = { ...spec, id: random.uuid().replaceAll('-', '') }
  const at = recordId(spec.user, spec.name)
  const lifetime = spec.expires === undefined ? {} : { expires: spec.expires }
  const body = { ...credential, secret: await hashPassword(secret, random) }
  try {
    await store.transact([
      credentials.create(ALL_ACCOUNTS, at, body, lifetime),
      credentialIds.create(ALL_ACCOUNTS, credential.id, { at }, lifetime),
      ...also(credential),
    ])
  } catch (error) {
    throw error instanceof Conflict && error.index === 0 ? new NameTaken(`the name ${spec.name} is taken`) : error
  }
  return credential
}

async function listOf(store: Store, userId: string): Promise<AppCredential[]> {
  const list: AppCredential[] = []
  if (!isId(userId)) return list
  for await (const record of listUnder(store, credentials, userId)) {
    const credential = withoutSecret(record)
    if (credential) list.push(credential)
  }
  return list
}
