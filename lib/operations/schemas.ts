import { z } from 'zod'
import { Id, Timestamp } from '../kit/http/schemas.ts'

const OperationView = z
  .strictObject({
    id: Id,
    name: z.string(),
    status: z.enum(['RUNNING', 'UNDOING', 'PARKED', 'DONE', 'FAILED', 'CANCELLED']),
    step: z.string().nullable().describe('What it is at; null once it has ended.'),
    steps: z.array(z.string()),
    percent: z.int().min(0).max(100),
    started: Timestamp,
    finished: Timestamp.nullable(),
    deadline: Timestamp.nullable().describe('When its step turns round.'),
    failed_step: z.string().nullable(),
    error: z.string().nullable(),
    request_id: z.string().describe('Of the request that asked for it, as in its audit record.'),
  })
  .meta({ id: 'Operation' })
export const OperationAnswer = z.strictObject({ operation: OperationView })
export const OperationList = z.strictObject({ operations: z.array(OperationView) })

/** What can be done with one. */
export const OperationAction = z.union([
  z.strictObject({ cancel: z.strictObject({}) }),
  z.strictObject({ retry: z.strictObject({}) }),
])
