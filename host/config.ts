import { z } from 'zod'
import { RootMode } from '../lib/contracts/guest/root.ts'
import { HostAccess } from '../lib/contracts/host-access.ts'
import { QueueAccess } from '../lib/contracts/queue-access.ts'

/** How Node.js runs an agent. Its compile cache is valid for the same flags only. */
export const AGENT_FLAGS = ['--max-old-space-size=64', '--max-semi-space-size=1']

/** Where programs are looked for that work for an instance. */
export const PROGRAM_PATH = '/usr/local/bin:/usr/bin:/bin'

/** What a host daemon is started with: `host.json`, readable by its user alone. */
export const HostConfig = HostAccess.extend({
  queue: z.preprocess(addKind, QueueAccess),
  /** The folder that holds everything of this daemon. */
  dataDir: z.string(),
  /** What instances run on. Every instance's uid must be able to read it. */
  runtime: z.object({
    node: z.string(),
    agent: z.string(),
    /** Node.js's compile cache of the agent's program. */
    cache: z.string().optional(),
    /** The engine's folder, by datastore manager and version. */
    engines: z.record(z.string(), z.record(z.string(), z.string())),
    /** Likewise, where an engine is copied from when it is first needed. */
    sources: z.record(z.string(), z.record(z.string(), z.object({ from: z.string(), stamp: z.string() }))).optional(),
  }),
  /** The file with the address for enrolment, which may change when the control plane restarts. */
  endpointFile: z.string(),
  /** The version of which spare volumes are kept ready, and how many. */
  spare: z.object({ manager: z.string(), version: z.string(), count: z.int().min(0) }),
  /** First of the uids that instances get, when the daemon runs as root; undefined = all run as the daemon's user. */
  firstUid: z.int().optional(),
  /** The first two bytes of the addresses that instances get: `127.80`. */
  network: z.string(),
  /** How much memory its instances may have together; files of earlier versions do not say it. */
  ramMb: z.int().optional(),
  /** What the root user of an instance is. */
  root: RootMode.default('administrator'),
  logLevel: z.string(),
})
export type HostConfig = z.infer<typeof HostConfig>

/** Adds the queue's kind, which files of earlier versions do not name: a daemon may restart before its file is new. */
function addKind(queue: unknown): unknown {
  if (typeof queue !== 'object' || queue === null || 'kind' in queue) return queue
  if ('path' in queue) return { ...queue, kind: 'socket', address: queue.path }
  return { ...queue, kind: 'urls' in queue ? 'sqs' : 'rabbitmq' }
}
