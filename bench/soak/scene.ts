import type { Answer } from '../../test/e2e/coffer.ts'
import type { Client } from './api.ts'
import type { Journal } from './journal.ts'
import type { Entry, Fleet } from './ledger.ts'
import type { Random } from './random.ts'

/** What every action may use. */
export interface Stage {
  client: Client
  fleet: Fleet
  random: Random
  journal: Journal
  /** The certificates of the authority. */
  ca: string
}

/** What an action on an instance works with: the instance as it was just shown. */
export interface Scene extends Stage {
  entry: Entry
  instance: Answer['body']
}

/** Something that an actor does to an instance. */
export interface Action {
  name: string
  /** How often it is chosen, in relation to the others. */
  weight: number
  run(scene: Scene): Promise<unknown>
}

/** The path of an instance, and of what belongs to it. */
export const pathOf = ({ id }: Pick<Entry, 'id'>, rest = ''): string => `/instances/${id}${rest}`
