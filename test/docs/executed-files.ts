/**
 * Prints as JSON which files of the project run between a request and the end of its operation, as V8 counts it.
 * Node itself runs this file: what Jest transforms has other URLs and offsets than the files on disk.
 */
import { type Profiler, Session } from 'node:inspector/promises'
import { relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Instance, instances } from '../../lib/model/instance.ts'
import { type ApiRequest, sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'

/** For each file, relative to the project, the names of its functions that ran. */
export type ExecutedFiles = Record<string, string[]>

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PROJECT_FILE = /^(lib|functions|guest-agent|host)\//
/** What every operation passes through; nobody has to read it to follow one of them. */
const PLUMBING = /^lib\/(kit|ports|platform|wiring|datastores\/[^/]+)\//

const profiler = new Session()
profiler.connect()
await profiler.post('Profiler.enable')
const world = await new World().open()

async function filesExecutedBy(work: () => Promise<void>): Promise<ExecutedFiles> {
  await profiler.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  // Taking the counts resets them: what ran before the work is not counted.
  await profiler.post('Profiler.takePreciseCoverage')
  await work()
  const { result } = await profiler.post('Profiler.takePreciseCoverage')
  await profiler.post('Profiler.stopPreciseCoverage')
  const files = result
    .filter(({ url }) => url.startsWith('file:'))
    .map(script => [projectPath(script.url), executedFunctions(script)] as const)
    .filter(([path, names]) => PROJECT_FILE.test(path) && !PLUMBING.test(path) && names.length > 0)
  return Object.fromEntries(files.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

const projectPath = (url: string) => relative(ROOT, fileURLToPath(url)).split(sep).join('/')

/** The functions that ran, without the top level of the module. */
const executedFunctions = ({ functions }: Profiler.ScriptCoverage) =>
  functions
    .filter(({ ranges: [range], functionName }) => range?.count && (functionName !== '' || range.startOffset > 0))
    .map(({ functionName }) => functionName || '(anonymous)')

async function findInstance(): Promise<Instance | undefined> {
  return (await instances.list(world.store, 'p1', { limit: 1 }))[0]?.body
}

/** Sends the request, and lets the world go on until the instance is ACTIVE without an operation. */
async function sendUntilActive(request: ApiRequest): Promise<void> {
  const response = await sendRequest(world, request)
  if (!response || response.status >= 300) throw new Error(`${request.path} failed: ${response?.text}`)
  await world.until('ACTIVE instance', async () => {
    const instance = await findInstance()
    return instance?.server?.status === 'ACTIVE' && instance.operation === undefined
  })
}

const users = [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }]
const spec = { name: 'shop', flavorRef: 1, volume: { size: 1 }, databases: [{ name: 'cart' }], users }
const body = { instance: spec }
const create = await filesExecutedBy(() => sendUntilActive({ method: 'POST', path: '/instances', body }))
const path = `/instances/${(await findInstance())?.id}/action`
const resize = { resize: { flavorRef: 2 } }
const resize_flavor = await filesExecutedBy(() => sendUntilActive({ method: 'POST', path, body: resize }))
process.stdout.write(`${JSON.stringify({ create, resize_flavor })}\n`)
