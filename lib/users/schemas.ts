import { z } from 'zod'
import { UserView } from '../contracts/guest/users.ts'
import { pageOfRows } from '../kit/http/schemas.ts'
import { DatabaseView } from '../model/database.ts'

const FullUser = z
  .strictObject({
    ...UserView.shape,
    host: UserView.shape.host.describe('From where it may connect; % is anywhere.'),
    databases: z.array(DatabaseView).describe('What it has access to.'),
  })
  .meta({ id: 'User' })
export const UserAnswer = z.strictObject({ user: FullUser })
export const UserPage = pageOfRows('users', FullUser)
export const UserDatabases = z.strictObject({ databases: z.array(DatabaseView) })
