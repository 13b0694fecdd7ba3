import { pageOfRows } from '../kit/http/schemas.ts'
import { DatabaseView } from '../model/database.ts'

export const DatabasePage = pageOfRows('databases', DatabaseView)
