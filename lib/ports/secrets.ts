/** A master key. All other keys are derived from one. */
export interface MasterKey {
  id: string
  /** 32 bytes. */
  bytes: Uint8Array
}

/** Provides the master keys, which may change at any time: a key is added, becomes current, and older ones are removed. */
export interface Secrets {
  /** The key for everything that is newly encrypted. */
  current(): Promise<MasterKey>
  /** The key with this id, to decrypt what was encrypted with an older key. */
  byId(id: string): Promise<MasterKey | undefined>
  /** The ids of all keys. */
  ids(): Promise<string[]>
  /** The ids of removed keys that others may have: what is derived from them is not trusted any more. */
  revoked(): Promise<string[]>
  /** Milliseconds after which all processes that share the keys use a new current one. */
  spreadMs: number
}
