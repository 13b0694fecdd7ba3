import { kind, retrying } from '../../../kit/records.ts'
import type { Store } from '../../store/store.ts'
import { CloudFault } from './errors.ts'
import type { Owned } from './tags.ts'

/** What is asked of AWS for a part, written down before it is asked: what a crash interrupts is found again. */
export interface Note {
  instance: string
  /** When it was first asked for, in milliseconds since the epoch; never, where only its removal was. */
  asked?: number
  /** AWS's id of it. */
  id?: string
  /** Where a server's database listens. */
  port?: number
  /** It was told to be removed: it is never made again. */
  buried?: true
  /** AWS has taken its removal on, or refused to make it: what is not seen is not there. */
  removed?: true
  /** A public address of its own. */
  address?: { id: string; ip: string }
  /** The last change that was carried out, and the one that is under way. */
  wish?: string
  doing?: { wish: string; phase: 'stopping' | 'starting' }
}

const notes = kind<Note>('ec2')

/** A removed part's name is remembered for longer than any wish for it is on its way. */
const BURIED_MS = 86_400_000

export interface Notes {
  read(of: Owned): Promise<Note | undefined>
  /** The note of what is to be made, written at the first call. */
  intended(of: Owned): Promise<Note>
  /** Has AWS make it by `call`, and writes down under which id it did, or that it refused. */
  making<T>(of: Owned, call: () => Promise<T>, idOf: (made: T) => string | undefined): Promise<T>
  /** Writes what `change` makes of it; the note as it is then. */
  write(of: Owned, change: (note: Note) => Note): Promise<Note>
}

export function notesIn(store: Store, now: () => number): Notes {
  const read: Notes['read'] = async ({ project, name }) => (await notes.get(store, project, name))?.body
  const write: Notes['write'] = ({ project, name, instance }, change) =>
    retrying(store, async () => {
      const known = await notes.get(store, project, name)
      const body = change(known?.body ?? { instance })
      const indexed = body.buried ? { expires: now() + BURIED_MS } : {}
      const made = known ? notes.replace(known, body, indexed) : notes.create(project, name, body, indexed)
      return { changes: [made], result: body }
    })
  return {
    read,
    write,
    async making(of, call, idOf) {
      try {
        const made = await call()
        const id = idOf(made)
        if (id !== undefined) await write(of, ({ removed: _, ...note }) => ({ ...note, id, asked: now() }))
        return made
      } catch (error) {
        // With the token of a call that was carried out it would not have been refused: there is none.
        if (error instanceof CloudFault) await write(of, note => ({ ...note, removed: true }))
        throw error
      }
    },
    async intended(of) {
      const known = await read(of)
      if (known) return known
      return write(of, note => (note.buried || note.asked !== undefined ? note : { ...note, asked: now() }))
    },
  }
}
