import { z } from 'zod'
import { pageOfRows } from '../kit/http/schemas.ts'
import { DatabaseName } from './database.ts'

/** A database as the API shows it. */
export const DatabaseView = z.strictObject(DatabaseName.shape).meta({ id: 'Database' })
export const DatabasePage = pageOfRows('databases', DatabaseView)
