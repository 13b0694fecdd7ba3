import { rename } from 'node:fs/promises'
import { type Owner, replaceFile } from '../../../kit/os/files.ts'
import { clusterPaths } from './cluster.ts'
import { readText, unlessMissing } from './files.ts'

const draftOf = (volume: string, role: string) => `${clusterPaths(volume).password(role)}.next`

/** Stores a password that the role is about to get: until `useDraft` both files are tried. */
export const writeDraft = (volume: string, role: string, password: string, owner: Owner | undefined): Promise<void> =>
  replaceFile(draftOf(volume, role), password, { owner })

/** The password that was about to become the role's, if the agent ended meanwhile. */
export const readDraft = (volume: string, role: string): Promise<string | undefined> => readText(draftOf(volume, role))

/** The role has the password of the draft. */
export async function useDraft(volume: string, role: string): Promise<void> {
  await unlessMissing(rename(draftOf(volume, role), clusterPaths(volume).password(role)))
}
