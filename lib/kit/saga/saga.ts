import type { z } from 'zod'
import type { Change, Subject } from '../../ports/store.ts'
import type { Log } from '../clock.ts'
import { recordType, renameFields } from '../records.ts'
import type { Transaction } from '../transaction.ts'

/** RUNNING does the steps in order, UNDOING undoes them in reverse; the others are final. */
export type SagaStatus = 'RUNNING' | 'UNDOING' | 'DONE' | 'FAILED' | 'CANCELLED'

/** The stored progress of one saga. Times are milliseconds since the epoch. */
export interface SagaRecord {
  id: string
  /** The name of the saga's definition. */
  name: string
  project: string
  /** What it works on. */
  subject: Subject
  /** What its subject is a part of. */
  parent?: Subject
  /** What it holds besides its subject until it ends. */
  alsoHolds?: Subject[]
  requestId: string
  status: SagaStatus
  /** The step that is being done (RUNNING) or undone (UNDOING), counted from 0. */
  step: number
  /** When that step was entered. Its deadline counts from here. */
  stepEntered: number
  started: number
  finished?: number
  /** Attempts at this step that failed or did not return. */
  tries: number
  /** Times this step was checked and was not done yet. */
  waits: number
  /** A message arrived while a runner held the lease: that runner checks again instead of waiting. */
  signalled?: boolean
  /** Why the saga is to be undone, if somebody asked for that: a cancel or a delete. */
  abortReason?: string
  /** The step makes no progress. It is retried every few minutes, and operators see the operation as PARKED. */
  parked?: boolean
  /** Why the current step failed last, or why the saga was undone. */
  error?: string
  /** The step at which the undo started. */
  failedStep?: string
  /** The undo has started; the `onUndo` hook of the runner has not succeeded yet. */
  undoUnannounced?: boolean
  /** The runner that works on the saga: the lease's id, its process and when it expires. */
  lease?: { id: string; boot: string; until: number }
  /** What was requested. Secrets are encrypted, and erased when the saga ends. */
  request: unknown
}

/** The records of sagas. Earlier versions used other field names, and worked on instances only. */
export const sagas = recordType<SagaRecord>('saga', body =>
  upgradeSubject(
    renameFields(body, {
      rung: 'signalled',
      naps: 'waits',
      entered: 'stepEntered',
      turning: 'undoUnannounced',
      preempted: 'abortReason',
    }),
  ),
)

function upgradeSubject(body: object): object {
  if (!('instance' in body)) return body
  const { instance, ...rest } = body
  return { subject: { kind: 'instance', id: instance }, ...rest }
}

/** All that a saga holds until it ends, in the one order in which it is released. */
export const heldSubjects = ({ subject, alsoHolds = [] }: Pick<SagaRecord, 'subject' | 'alsoHolds'>): Subject[] =>
  [subject, ...alsoHolds].sort((a, b) => (subjectText(a) < subjectText(b) ? -1 : 1))

const subjectText = ({ kind, id }: Subject) => `${kind}/${id}`

/** The input of a step's functions. */
export interface SagaRun<R, D> {
  id: string
  project: string
  subject: Subject
  alsoHolds?: Subject[]
  requestId: string
  request: R
  deps: D
  log: Log
  /** When the saga started, in milliseconds since the epoch. */
  started: number
  /** Why the saga is undone (in `undo`, `isUndone` and `onEnd`). */
  error?: string
  failedStep?: string
}

/**
 * One step. Each function may run any number of times, also after a crash half-way through an earlier run.
 * Throw TerminalError to start the undo, SubjectGone when there is nothing left to work on. Any other error is retried.
 */
export interface Step<R, D> {
  do?(run: SagaRun<R, D>): Promise<void>
  /** The step is done when this resolves to true; until then the saga waits. Without it, when `do` returns. */
  isDone?(run: SagaRun<R, D>): Promise<boolean>
  /** Reverts whatever `do` may have done, completely or in part. */
  undo?(run: SagaRun<R, D>): Promise<void>
  /** The step is undone when this resolves to true. Without it, when `undo` returns. */
  isUndone?(run: SagaRun<R, D>): Promise<boolean>
  /** Milliseconds until the undo starts; while undoing, until the saga is parked. Default: 10 minutes. */
  deadlineMs?: number
  /** Milliseconds after which the undo of this step is given up. Default: never, it is retried for ever. */
  undoDeadlineMs?: number
}

/** A step that only matters when the saga is undone. */
export type UndoStep<R, D> = Pick<Step<R, D>, 'undo' | 'isUndone' | 'undoDeadlineMs'>

const DEFAULT_DEADLINE_MS = 10 * 60_000

/** Milliseconds from entering the step to its deadline. */
export const stepDeadlineMs = (step: { deadlineMs?: number } | undefined): number =>
  step?.deadlineMs ?? DEFAULT_DEADLINE_MS

/** How a saga ended: it succeeded, or it was undone because a step failed or because somebody aborted it. */
export type SagaOutcome = 'done' | 'failed' | 'aborted'

/** An operation that takes time, as a list of steps. */
export interface Saga<R, D> {
  name: string
  /** The schema of its request, with secrets marked. */
  schema: z.ZodType<R>
  steps: (Step<R, D> & { name: string })[]
  /** It is never undone: a failing step is retried until it succeeds. */
  forwardOnly?: boolean
  /** The changes of the transaction that ends the saga. Called again when that transaction conflicts. */
  onEnd?(run: SagaRun<R, D>, outcome: SagaOutcome): Promise<Change[]>
  /**
   * What lets a saga which failed start again as the operation `next`, besides that saga's own record.
   * Without it the operation cannot be retried; its user sends the request again. Throws Fault if it cannot start
   * again.
   */
  onRetry?(deps: D, ended: SagaRecord, next: string): Promise<Pick<Transaction, 'changes' | 'onBound'>>
  /** Appends a step. */
  step(name: string, step: Step<R, D>): Saga<R, D>
  /** Appends a step that does nothing on the way forward, and is undone after all later steps. */
  onUndo(name: string, step: UndoStep<R, D>): Saga<R, D>
}

/**
 * Defines a saga. `request` is the schema of its request, with secrets marked.
 *
 * @example
 * export const resizeVolume = saga<Resize, Platform>('resize_volume', Resize, { onEnd: releaseInstance })
 *   .onUndo('restore_settings', { undo: restoreSettings })
 *   .step('grow_volume', { do: requestGrowth, isDone: hasGrown, undo: requestShrink, isUndone: hasShrunk })
 *   .step('wait_until_serving', { isDone: isServing, deadlineMs: 5 * 60_000 })
 */
export function saga<R, D>(
  name: string,
  request: z.ZodType<R>,
  options: Pick<Saga<R, D>, 'onEnd' | 'forwardOnly' | 'onRetry'> = {},
): Saga<R, D> {
  const steps: Saga<R, D>['steps'] = []
  const definition: Saga<R, D> = {
    name,
    schema: request,
    steps,
    ...options,
    step(stepName, step) {
      steps.push({ name: stepName, ...step })
      return definition
    },
    onUndo: (stepName, step) => definition.step(stepName, step),
  }
  return definition
}

/** When `periodic` wakes a new saga that no runner has taken: its first message was lost. */
const FIRST_WAKE_MS = 2_000

/** The owner under which the secrets of a saga's request are encrypted. */
export const secretOwner = (project: string, id: string) => `${project}/saga#${id}`

/** The change that starts a saga. The secrets of `request` must be encrypted for `secretOwner(project, id)`. */
export function sagaRecord(
  fields: Pick<SagaRecord, 'id' | 'name' | 'project' | 'subject' | 'parent' | 'alsoHolds' | 'requestId' | 'request'>,
  now: number,
): Change {
  const record: SagaRecord = {
    ...fields,
    status: 'RUNNING',
    step: 0,
    stepEntered: now,
    started: now,
    tries: 0,
    waits: 0,
  }
  const { project, id, subject, parent } = fields
  return sagas.create(project, id, record, { due: now + FIRST_WAKE_MS, subject, ...(parent && { parent }) })
}

/** Whether the saga has reached a final status. */
export const hasEnded = (record: SagaRecord) => record.status !== 'RUNNING' && record.status !== 'UNDOING'
