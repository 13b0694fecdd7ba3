import { join } from 'node:path'
import { processFigures } from '../../kit/figures.ts'
import { type Diagnostics, Refused } from '../driver.ts'
import { layout } from './engine.ts'
import { textOf } from './files.ts'
import type { Server } from './server.ts'

/** What the system tells of the volume's server. Refused 422 if none runs, or if it tells nothing. */
export async function diagnosticsOf(volume: string, server: Server): Promise<Diagnostics> {
  const running = await server.find()
  const figures = running && (await processFigures(running.pid))
  if (!figures) throw new Refused(422, 'The process of the database server cannot be looked at.')
  const version = (await textOf(join(layout(volume).data, 'PG_VERSION')))?.trim() ?? ''
  return { version, ...figures }
}
