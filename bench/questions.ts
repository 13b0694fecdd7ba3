import { createInstance, deleteInstance, startCoffer, wipe } from '../test/e2e/coffer.ts'
import { ANN } from './create.ts'
import { measureMs, type Note, repeatMs } from './table.ts'

const QUERIES = 500
/** Until Node.js has compiled the hot code on both sides. */
const WARM_UP = 500
const GRANTS = 50
const COMMANDS = 50

/** Round trips of queries and commands to a real agent. */
export async function benchQuestions(note: Note): Promise<void> {
  const coffer = await startCoffer()
  const demo = await coffer.login()
  const { id } = await createInstance(demo, ANN)
  const get = (path: string) => () => demo.call('GET', `/instances/${id}${path}`)
  await repeatMs(WARM_UP, get('/databases'))
  const withoutQuery: number[] = []
  const withQuery: number[] = []
  // Alternating, so that other load on the machine affects both alike.
  for (let run = 0; run < QUERIES; run++) {
    withoutQuery.push(await measureMs(get('')))
    withQuery.push(await measureMs(get('/databases')))
  }
  note('GET an instance (no agent asked)', withoutQuery)
  note('GET its databases (a query to the agent and back)', withQuery)
  const differences = withQuery.map((time, run) => time - (withoutQuery[run] ?? 0))
  note('of that the query: the difference of each pair', differences)
  const user = `/instances/${id}/users/ann/databases`
  const grant = () => demo.call('PUT', user, { databases: [{ name: 'cart' }] })
  note('PUT a grant (two queries, a command and back)', await repeatMs(GRANTS, grant))
  const enable = () => demo.call('POST', `/instances/${id}/root`, { password: 'secret1' })
  note('POST root (a command and back)', await repeatMs(COMMANDS, enable))
  await deleteInstance(demo, id)
  await coffer.stop()
  await wipe(coffer.dataDir)
}
