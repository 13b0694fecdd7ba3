import type { z } from 'zod'
import type { Change, Key } from '../../platform/store/store.ts'
import type { Log } from '../clock.ts'
import { kind } from '../records.ts'

export type SagaStatus = 'RUNNING' | 'UNDOING' | 'DONE' | 'FAILED' | 'CANCELLED'

/** The progress of one saga, as stored. Times are milliseconds since the epoch. */
export interface SagaRecord {
  id: string
  name: string
  project: string
  instance: string
  requestId: string
  status: SagaStatus
  /** The step being done (RUNNING) or undone (UNDOING), counted from 0. */
  step: number
  /** When that step was first entered; its deadline counts from here. */
  entered: number
  started: number
  finished?: number
  /** Runs of this step that did not end cleanly. */
  tries: number
  /** Clean waits of this step. */
  naps: number
  /** An event came while a runner held the lease. */
  rung?: boolean
  /** Why it shall turn round, if it shall. */
  preempted?: string
  /** Its undo (or its step, where it only runs forward) does not get done; tried on at long intervals, seen by operators. */
  parked?: boolean
  error?: string
  /** The step at which it turned round. */
  failedStep?: string
  /** It has turned round, and those who have to know are not told yet. */
  turning?: boolean
  lease?: { id: string; boot: string; until: number }
  /** What was asked for, secrets encrypted; erased at the end. */
  request: unknown
}

export const sagas = kind<SagaRecord>('saga')

/** What a step is given. */
export interface Running<R, D> {
  id: string
  project: string
  instance: string
  requestId: string
  request: R
  deps: D
  log: Log
  /** When the saga began, in milliseconds since the epoch. */
  started: number
  /** Why the saga turned round (in undo and settled). */
  error?: string
  failedStep?: string
}

/**
 * One step. `do` may run any number of times, and after a crash at any point of it; with `until` the step ends when that
 * says so. `undo` takes back whatever `do` may have made, `undone` says when that is so. Throw Permanent to turn round, Gone
 * where nothing is left that anything could be done to.
 */
export interface Step<R, D> {
  do?(run: Running<R, D>): Promise<void>
  until?(run: Running<R, D>): Promise<boolean>
  /** The event that rings the waiting saga, for its readers; a nap is only the fallback. */
  waitFor?: string
  undo?(run: Running<R, D>): Promise<void>
  undone?(run: Running<R, D>): Promise<boolean>
  /** Milliseconds from entering the step to turning round, and from turning round to being parked. Default 10 minutes. */
  deadlineMs?: number
  /** Milliseconds after which `undone` is waited for no longer: what it waits for may be dead. Left out where it must come. */
  undoDeadlineMs?: number
}

/** How long a step may take before the saga turns round, unless the step says otherwise. */
const DEFAULT_DEADLINE_MS = 10 * 60_000
/** Milliseconds from entering the step to its deadline. */
export const deadlineOf = (step: { deadlineMs?: number } | undefined): number => step?.deadlineMs ?? DEFAULT_DEADLINE_MS

export type Outcome = 'done' | 'failed' | 'preempted'

/** A verb that takes time: a readable list of steps. */
export interface Saga<R, D> {
  name: string
  schema: z.ZodType<R>
  steps: (Step<R, D> & { name: string })[]
  /** Runs forward only: a failing step is tried again until it works, and never turned round. */
  forwardOnly?: boolean
  /** The changes of the transaction that ends it. May be asked again when that conflicts. */
  settled?(run: Running<R, D>, outcome: Outcome): Promise<Change[]>
  /**
   * The changes by which an ended one that did not succeed begins anew as the operation `next`, besides that saga's own
   * record; left out where its user can simply ask again. Throws Fault where it cannot be.
   */
  again?(deps: D, ended: SagaRecord, next: string): Promise<Change[]>
  step(name: string, step: Step<R, D>): Saga<R, D>
}

/** Begins the definition of a saga; `request` is the schema of what it is asked for, secrets marked. */
export function saga<R, D>(
  name: string,
  request: z.ZodType<R>,
  options: Pick<Saga<R, D>, 'settled' | 'forwardOnly' | 'again'> = {},
): Saga<R, D> {
  const steps: Saga<R, D>['steps'] = []
  const built: Saga<R, D> = {
    name,
    schema: request,
    steps,
    ...options,
    step(stepName, step) {
      steps.push({ name: stepName, ...step })
      return built
    },
  }
  return built
}

/** How long a new saga may stay without a runner until `periodic` rings again: its first doorbell was lost. */
const FIRST_RING_MS = 2_000

/** The key that binds a saga's secrets to it. */
export const ownerOf = (project: string, id: string) => `${project}/saga#${id}`

/** The change that begins a saga; `request` has its secrets locked for `ownerOf(project, id)`. */
export function beginning(
  fields: Pick<SagaRecord, 'id' | 'name' | 'project' | 'instance' | 'requestId' | 'request'>,
  now: number,
): Change {
  const record: SagaRecord = { ...fields, status: 'RUNNING', step: 0, entered: now, started: now, tries: 0, naps: 0 }
  return sagas.create(fields.project, fields.id, record, { due: now + FIRST_RING_MS, instance: fields.instance })
}

export const isOver = (record: SagaRecord) => record.status !== 'RUNNING' && record.status !== 'UNDOING'

export const sagaKey = (project: string, id: string): Key => sagas.key(project, id)
