/** A master key. All other keys are derived from one. */
export interface MasterKey {
  id: string
  /** 32 bytes. */
  bytes: Uint8Array
}

/** Provides the master keys. */
export interface Secrets {
  /** The key for everything that is newly encrypted. */
  current(): Promise<MasterKey>
  /** The key with this id, to decrypt what was encrypted with an older key. */
  byId(id: string): Promise<MasterKey | undefined>
}
