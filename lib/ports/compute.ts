/** On which host a part is, where compute runs on hosts that Coffer chooses. Missing: on the backend's default one. */
interface OnHost {
  host?: string
}

/** The server to create. All sizes are upper bounds for the database engine or the machine. */
export interface ServerSpec extends OnHost {
  /** Derived from the instance and its generation, and never reused. */
  name: string
  /** The name of the volume to attach. */
  volume: string
  instance: string
  project: string
  generation: number
  flavor: { ramMb: number; vcpus: number }
  datastore: { manager: string; version: string }
  /** What the agent on it needs to enrol, as JSON. It can be used once. */
  userData: string
  /** From where the server can be reached, if the backend controls that. */
  access?: ServerAccess
}

/**
 * Whether the server has a public address, and the IPv4 networks (`10.0.0.0/8`) or addresses that may connect. Without
 * networks, everybody who can reach the address may.
 */
export interface ServerAccess {
  is_public?: boolean | undefined
  allowed_cidrs?: string[] | undefined
}

/** The volume to create. */
export interface VolumeSpec extends OnHost {
  name: string
  instance: string
  project: string
  generation: number
  sizeGb: number
  datastore: { manager: string; version: string }
}

/** The reported state of a server or a volume. GONE: it was deleted, and the deletion is confirmed. */
export interface MachineState {
  status: 'BUILD' | 'ACTIVE' | 'ERROR' | 'SHUTDOWN' | 'GONE'
  /** Of a server: where its database can be reached. */
  addresses?: { address: string; port: number; type: 'private' | 'public' }[] | undefined
  fault?: string | undefined
  /** The id of the last change that was carried out. */
  changeId?: string | undefined
}

/** A server or a volume that exists. */
export interface PartRef extends OnHost {
  name: string
  instance: string
  project: string
  generation: number
}

/** A change of a server or a volume. Requests with the same `changeId` are carried out once. */
export interface ChangeRequest extends PartRef {
  changeId: string
}

/**
 * Creates, changes and deletes servers and volumes. Every method may be called any number of times with the same name,
 * and returns as soon as the request is accepted. `server` and `volume` report its progress; a backend with events also
 * wakes the instance's saga. A name that was deleted is never created again.
 */
export interface Compute {
  /**
   * Instances are placed on hosts that register themselves; an instance whose record names none is on this one. Missing
   * if the backend has no such hosts.
   */
  defaultHost?: string
  createVolume(spec: VolumeSpec): Promise<void>
  deleteVolume(spec: PartRef): Promise<void>
  /** The state of a volume; undefined if the backend does not know it. */
  volume(project: string, name: string): Promise<MachineState | undefined>
  createServer(spec: ServerSpec): Promise<void>
  deleteServer(spec: PartRef): Promise<void>
  /** The state of a server; undefined if the backend does not know it. */
  server(project: string, name: string): Promise<MachineState | undefined>
  /** This and the following are changes: they are done when the reported state has their `changeId`. */
  resizeVolume(spec: ChangeRequest & { sizeGb: number }): Promise<void>
  changeServer(
    spec: ChangeRequest & { flavor?: ServerSpec['flavor']; datastore?: ServerSpec['datastore'] },
  ): Promise<void>
  rebootServer(spec: ChangeRequest): Promise<void>
  /** Changes from where a server can be reached, if the backend controls that. */
  changeAccess?(spec: ChangeRequest & { access: ServerAccess }): Promise<void>
  /** The servers that changed by themselves, if no host reports that. Called by `periodic`. */
  pollStates?(): Promise<StateReport[]>
}

/** The state of a server as polled from a backend. `sequence` rises with every report of one server. */
export interface StateReport {
  name: string
  instance: string
  project: string
  state: MachineState
  sequence: number
}
