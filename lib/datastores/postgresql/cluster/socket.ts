import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { unlessMissing } from './files.ts'

/** The file of the server's socket, in the data. */
export const socketName = (port: number) => `.s.PGSQL.${port}`

/** Whether the data has a server's socket. */
export async function hasSocket(data: string, port: number): Promise<boolean> {
  return (await unlessMissing(lstat(join(data, socketName(port)))))?.isSocket() ?? false
}
