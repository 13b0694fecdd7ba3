import { z } from 'zod'

/** How Node.js runs an agent; what it keeps compiled is good for the same flags only. */
export const AGENT_FLAGS = ['--max-old-space-size=64', '--max-semi-space-size=1']

/** What a host daemon is started with: `host.json`, readable by its user alone. */
export const HostConfig = z.object({
  hostId: z.string(),
  /** Everything of this daemon is below it. */
  dataDir: z.string(),
  queue: z.union([
    z.object({ path: z.string(), token: z.string() }),
    z.object({ url: z.string(), username: z.string(), password: z.string(), ca: z.string().optional() }),
    z.object({
      region: z.string(),
      endpoint: z.string().optional(),
      urls: z.record(z.string(), z.string()),
      credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string(), sessionToken: z.string() }),
    }),
  ]),
  topic: z.string(),
  conductor: z.string(),
  kid: z.string(),
  keys: z.object({ down: z.string(), up: z.string() }),
  /** What instances run on: must be enterable and readable by every instance's uid. */
  runtime: z.object({
    node: z.string(),
    agent: z.string(),
    /** The agent's program as Node.js keeps it once compiled. */
    cache: z.string().optional(),
    /** By datastore manager and version. */
    engines: z.record(z.string(), z.record(z.string(), z.string())),
    /** Likewise, where those come from that are put in place when first needed. */
    sources: z.record(z.string(), z.record(z.string(), z.object({ from: z.string(), stamp: z.string() }))).optional(),
  }),
  /** Where the file with the address for enrolment is: it may change with a restart of the control plane. */
  endpointFile: z.string(),
  /** The default version, of which spare clusters are kept. */
  spare: z.object({ manager: z.string(), version: z.string(), count: z.int().min(0) }),
  /** First of the uids that instances get, when the daemon runs as root; undefined = all run as the daemon's user. */
  firstUid: z.int().optional(),
  /** The first two bytes of the addresses that instances get: `127.80`. */
  network: z.string(),
  logLevel: z.string(),
})
export type HostConfig = z.infer<typeof HostConfig>
