import { z } from 'zod'
import { DatabaseView } from '../databases/schemas.ts'
import { pageOfRows } from '../kit/http/schemas.ts'
import { UserView } from './user.ts'

const ShownUser = z
  .strictObject({
    ...UserView.shape,
    host: UserView.shape.host.describe('From where it may come; % is anywhere.'),
    databases: z.array(DatabaseView).describe('What it has access to.'),
  })
  .meta({ id: 'User' })
export const UserAnswer = z.strictObject({ user: ShownUser })
export const UserPage = pageOfRows('users', ShownUser)
export const UserDatabases = z.strictObject({ databases: z.array(DatabaseView) })
