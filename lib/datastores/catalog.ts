import { badRequest, cut, notFound } from '../kit/errors.ts'
import type { DatastoreVersion, Manifest } from './manifest.ts'
import { postgresql } from './postgresql/manifest.ts'

/** Every datastore that can be created; the first is the default. */
export const MANIFESTS: readonly Manifest[] = [postgresql]

/** The datastore with this id or name. */
export function findDatastore(ref: string): Manifest | undefined {
  return MANIFESTS.find(({ id, name }) => id === ref || name === ref)
}

/** The manifest of a manager. */
export function manifestOf(manager: string): Manifest {
  const found = MANIFESTS.find(manifest => manifest.manager === manager)
  if (!found) throw badRequest(`Datastore manager '${manager}' cannot be found.`)
  return found
}

/** The version that a create asks for, or the default one. Throws 404 and 400 as Trove does. */
export function chooseVersion(
  wanted: { type?: string | undefined; version?: string | undefined; version_number?: string | undefined } | undefined,
): { manifest: Manifest; version: DatastoreVersion } {
  const manifest = wanted?.type === undefined ? MANIFESTS[0] : findDatastore(wanted.type)
  if (!manifest) throw notFound(`Datastore '${cut(wanted?.type ?? '')}' cannot be found.`)
  const ref = wanted?.version ?? (wanted?.version_number === undefined ? manifest.defaultVersion : undefined)
  const version = manifest.versions.find(
    ({ id, name, version: number }) =>
      (ref === undefined || id === ref || name === ref || number === ref) &&
      (wanted?.version_number === undefined || number === wanted.version_number || name === wanted.version_number),
  )
  if (!version) throw badRequest(`Datastore version '${cut(ref ?? wanted?.version_number ?? '')}' cannot be found.`)
  if (!version.active) throw badRequest(`Datastore version '${version.name}' is not active.`)
  return { manifest, version }
}
