import { statfsSync } from 'node:fs'

/** With fewer free inodes no file can be made, whatever space there is. */
const FEW_INODES = 100

/** The free bytes of the file system that a path is on, for users other than root. */
export function freeBytesAt(path: string): number {
  const { bavail, bsize, files, ffree } = statfsSync(path)
  return files > 0 && ffree < FEW_INODES ? 0 : bavail * bsize
}
