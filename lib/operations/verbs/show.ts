import type { Call, Reply } from '../../kit/http/route.ts'
import { operationView } from '../../model/operation.ts'
import type { Platform } from '../../platform/platform.ts'
import { findOperation, type SagaOf } from '../operation-of-path.ts'

/** `GET …/operations/{operation_id}`. */
export const showOperation =
  (sagaOf: SagaOf) =>
  async (call: Call<unknown, Platform>): Promise<Reply> => {
    const { body: record } = await findOperation(call)
    return { status: 200, body: { operation: operationView(record, sagaOf(record.name)?.steps ?? []) } }
  }
