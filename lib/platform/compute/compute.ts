/** What a server is made of. All sizes are upper bounds given to the database engine or the machine. */
export interface ServerSpec {
  /** Derived from instance and generation; never reused. */
  name: string
  /** The volume to attach, by its deterministic name. */
  volume: string
  instance: string
  project: string
  generation: number
  flavor: { ramMb: number; vcpus: number }
  datastore: { manager: string; version: string }
  /** What the agent on it needs to enrol, as JSON; single use. */
  userData: string
  /** From where it can be reached, where the backend has a say in that. */
  access?: ServerAccess
}

/** A public address or none, and IPv4 networks (`10.0.0.0/8`) or addresses that are let in; none named = what the address allows. */
export interface ServerAccess {
  is_public?: boolean | undefined
  allowed_cidrs?: string[] | undefined
}

export interface VolumeSpec {
  name: string
  instance: string
  project: string
  generation: number
  sizeGb: number
  datastore: { manager: string; version: string }
}

/** What is known of a server or a volume. GONE = asked to be removed and confirmed removed. */
export interface Facts {
  status: 'BUILD' | 'ACTIVE' | 'ERROR' | 'SHUTDOWN' | 'GONE'
  /** Server only: where its database can be reached. */
  addresses?: { address: string; port: number; type: 'private' | 'public' }[] | undefined
  fault?: string | undefined
  /** The last change that was carried out, by the `wish` it was asked for with. */
  wish?: string | undefined
}

/** Which part is meant, and a name for the change: repeated with the same name, it is done once. */
export interface Wish {
  name: string
  instance: string
  project: string
  generation: number
  wish: string
}

/**
 * Makes and removes machines. Every method may be called any number of times with the same name and returns as soon as
 * the wish is handed over; how far it is is told by `server` and `volume`, and by an event to the instance's saga where
 * the backend has events. A name that was deleted is never made again.
 */
export interface Compute {
  createVolume(spec: VolumeSpec): Promise<void>
  deleteVolume(spec: { name: string; instance: string; project: string; generation: number }): Promise<void>
  volume(project: string, name: string): Promise<Facts | undefined>
  createServer(spec: ServerSpec): Promise<void>
  deleteServer(spec: { name: string; instance: string; project: string; generation: number }): Promise<void>
  server(project: string, name: string): Promise<Facts | undefined>
  /** Changes of what is there: carried out when the facts show the `wish`. */
  resizeVolume(spec: Wish & { sizeGb: number }): Promise<void>
  changeServer(spec: Wish & { flavor?: ServerSpec['flavor']; datastore?: ServerSpec['datastore'] }): Promise<void>
  rebootServer(spec: Wish): Promise<void>
  /** Where the backend decides from where a server can be reached. */
  changeAccess?(spec: Wish & { access: ServerAccess }): Promise<void>
  /** What became of servers without their being asked about, where no host tells it; for `periodic`. */
  survey?(): Promise<Told[]>
}

/** What a backend found out of a server. `sent` rises with each thing that is told of one. */
export interface Told {
  name: string
  instance: string
  project: string
  facts: Facts
  sent: number
}
