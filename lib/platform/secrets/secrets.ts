/** A master key; every other key is derived from one. */
export interface MasterKey {
  id: string
  /** 32 bytes. */
  bytes: Uint8Array
}

/** Where master keys are kept. */
export interface Secrets {
  /** The key that new things are sealed with. */
  current(): Promise<MasterKey>
  /** The key of that id, for what was sealed with an older one. */
  byId(id: string): Promise<MasterKey | undefined>
}
