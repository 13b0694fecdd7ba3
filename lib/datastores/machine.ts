import type { ProcessRef } from '../kit/os/process.ts'

/** Where a new volume is made, with which programs, and as whom. */
export interface VolumeOptions {
  /** The folder of the engine's programs. */
  engine: string
  /** The volume: a new or empty directory, in one that exists. */
  dir: string
  /** Owner of the files, for a caller that is root. */
  uid?: number
  gid?: number
  /** Ends the making; the files that it has made stay. */
  signal?: AbortSignal
  /** Makes it at the lowest priority. */
  idle?: boolean
}

/** The processes of a volume's server, and the signal that ends them at once without harm to the data. */
export interface ServerProcesses {
  processes: ProcessRef[]
  endSignal: NodeJS.Signals
}

/** What a datastore does on a machine without its agent: for the host daemon, and for a machine that boots. */
export interface MachineSide {
  /** Makes a volume on which the driver can start the server. */
  initVolume(options: VolumeOptions): Promise<void>
  /** The server processes of a volume, whoever started them (Linux only, else none). */
  processesOf(volume: string): Promise<ServerProcesses>
  /**
   * The npm package that has a version's programs for this system (`linux-x64`), and their folder in it; undefined if
   * npm has none.
   */
  enginePackage(version: string, system: string): { name: string; folder: string } | undefined
  /**
   * Changes a copy of an engine that was just made. Its files may be links to those that were copied: they are replaced,
   * never written to. `revision` changes with what it does: older copies are then made anew.
   */
  prepareEngine?: { revision: string; run(folder: string): Promise<void> }
  /** The folder of a machine image that has the engines: `<imageFolder>/<version>`. */
  imageFolder: string
}
