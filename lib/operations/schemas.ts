import { z } from 'zod'
import { Id, Timestamp } from '../kit/http/schemas.ts'

const OperationView = z
  .strictObject({
    id: Id,
    name: z.string(),
    status: z.enum(['RUNNING', 'UNDOING', 'PARKED', 'DONE', 'FAILED', 'CANCELLED']),
    step: z.string().nullable().describe('The current step; null once the operation has ended.'),
    steps: z.array(z.string()),
    percent: z.int().min(0).max(100),
    started: Timestamp,
    finished: Timestamp.nullable(),
    deadline: Timestamp.nullable().describe(
      'When its step times out: the operation is then rolled back, or parked if it only runs forward.',
    ),
    failed_step: z.string().nullable(),
    error: z.string().nullable(),
    request_id: z.string().describe('The id of the request that started it, as in its audit record.'),
  })
  .meta({ id: 'Operation' })
export const OperationAnswer = z.strictObject({ operation: OperationView })
export const OperationList = z.strictObject({ operations: z.array(OperationView) })

/** The actions on an operation. */
export const OperationAction = z.union([
  z.strictObject({ cancel: z.strictObject({}) }),
  z.strictObject({ retry: z.strictObject({}) }),
])
