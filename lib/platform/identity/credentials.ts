import { type AppCredential, type AppCredentials, Taken, TooMany } from '../../identity/account.ts'
import type { Random } from '../../kit/clock.ts'
import type { Stored } from '../../kit/records.ts'
import { Conflict, type Store } from '../store/store.ts'
import { listUnder } from './accounts.ts'
import { hashPassword, type PasswordHash } from './passwords.ts'
import { credentialIds, credentials, digest, EVERYBODY, isId } from './records.ts'

/** The most application credentials of one user. */
export const MOST_CREDENTIALS = 100

type StoredCredential = AppCredential & { secret: PasswordHash }

/** Application credentials in the store, under the project `*`. */
export function appCredentials(store: Store, random: Random): AppCredentials {
  return {
    create: (credential, secret) => create(store, random, credential, secret),
    newSecret: () => Buffer.from(random.bytes(64)).toString('base64url'),
    byId: async id => shownCredential(await credentialRecord(store, { id })),
    byName: async (user, name) => shownCredential(await credentialRecord(store, { user, name })),
    listOf: userId => listOf(store, userId),
    async remove({ id, user, name }) {
      const at = place(user, name)
      await store.transact([
        { op: 'delete', key: credentials.key(EVERYBODY, at) },
        { op: 'delete', key: credentialIds.key(EVERYBODY, id) },
      ])
    },
  }
}

/** A credential's record with the hash of its secret; for the logins alone. */
export async function credentialRecord(
  store: Store,
  which: { id: string } | { user: string; name: string },
): Promise<Stored<StoredCredential> | undefined> {
  if ('name' in which) {
    return isId(which.user) ? credentials.get(store, EVERYBODY, place(which.user, which.name)) : undefined
  }
  const pointer = isId(which.id) ? await credentialIds.get(store, EVERYBODY, which.id) : undefined
  const found = pointer && (await credentials.get(store, EVERYBODY, pointer.body.at))
  // One of the same name may have been made since the pointer was read.
  return found?.body.id === which.id ? found : undefined
}

/** A credential as its user may see it. */
export function shownCredential(record: Stored<StoredCredential> | undefined): AppCredential | undefined {
  if (!record) return undefined
  const { secret: _, ...credential } = record.body
  return credential
}

const place = (user: string, name: string) => `${user}/${digest(name)}`

async function create(
  store: Store,
  random: Random,
  wanted: Omit<AppCredential, 'id'>,
  secret: string,
): Promise<AppCredential> {
  if ((await listOf(store, wanted.user)).length >= MOST_CREDENTIALS) {
    throw new TooMany(`a user may have ${MOST_CREDENTIALS} application credentials`)
  }
  const credential = { ...wanted, id: random.uuid().replaceAll('-', '') }
  const at = place(wanted.user, wanted.name)
  const end = wanted.expires === undefined ? {} : { expires: wanted.expires }
  const body = { ...credential, secret: await hashPassword(secret, random) }
  try {
    await store.transact([
      credentials.create(EVERYBODY, at, body, end),
      credentialIds.create(EVERYBODY, credential.id, { at }, end),
    ])
  } catch (error) {
    throw error instanceof Conflict && error.index === 0 ? new Taken(`the name ${wanted.name} is taken`) : error
  }
  return credential
}

async function listOf(store: Store, userId: string): Promise<AppCredential[]> {
  const found: AppCredential[] = []
  if (!isId(userId)) return found
  for await (const record of listUnder(store, credentials, userId)) {
    const credential = shownCredential(record)
    if (credential) found.push(credential)
  }
  return found
}
