import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleAgent } from '../../../agent-bundle/bundle.ts'
import type { HostConfig } from '../../../host/config.ts'
import { UNCONFINED } from '../../../host/confinement.ts'
import { Daemon } from '../../../host/daemon.ts'
import { hostReport, Reports } from '../../../host/reports.ts'
import { receiveRequests } from '../../../host/requests.ts'
import { registerHost } from '../../../lib/conductor/hosts.ts'
import { assertKind } from '../../../lib/contracts/queue-access.ts'
import type { Datastores } from '../../../lib/datastores/manifest.ts'
import { sealer } from '../../../lib/kit/crypto/seal.ts'
import { noMetrics } from '../../../lib/kit/metrics.ts'
import { socketQueue } from '../../../lib/platform/queue/socket/client.ts'
import { serveQueue } from '../../../lib/platform/queue/socket/server.ts'
import { setPlatform } from '../../../lib/wiring/current.ts'
import { type EmbeddedCloud, embeddedCloud } from '../../../lib/wiring/embedded.ts'
import { systemClock as clock, systemRandom as random } from '../../../lib/wiring/system.ts'
import { writeAccounts } from '../../../local/accounts.ts'
import { httpUrl, listeningPort } from '../../../local/address.ts'
import { startConsumers } from '../../../local/consumers.ts'
import { gateway } from '../../../local/gateway/gateway.ts'
import { gatewayLimits } from '../../../local/gateway/limits.ts'
import { login, type Session } from '../../e2e/coffer.ts'
import { silentLog as log } from '../../kit/random.ts'
import { risingNumbers } from '../../kit/rising-numbers.ts'
import { toyMachine } from './machine.ts'
import { toyManifest } from './manifest.ts'

/** A cloud whose only datastore is the toy: its control plane and host daemon run here, agents and servers do not. */
export interface ToyCloud {
  session: Session
  close(): Promise<void>
}

const datastores: Datastores = { manifests: { toy: toyManifest } }

export async function toyCloud(dataDir: string): Promise<ToyCloud> {
  const agent = join(dataDir, 'agent.mjs')
  await bundleAgent(agent, join('test', 'datastores', 'toy', 'agent.ts'))
  const control = await startControlPlane(dataDir)
  const host = await startHost(control.cloud, join(dataDir, 'host'), agent)
  return {
    session: await login(join(dataDir, 'openrc')),
    async close() {
      await host.close()
      await control.close()
    },
  }
}

async function startControlPlane(dataDir: string) {
  let base = ''
  const enrolUrl = () => `${base}/enrol`
  const { metricsOf, ...limits } = gatewayLimits(0, clock)
  const cloud = await embeddedCloud({
    ...{ dataDir, log, enrolUrl, datastores },
    publicUrl: undefined,
    rate: 0,
    metrics: noMetrics,
  })
  const { platform, socket: path, admit } = cloud
  setPlatform(platform)
  const edge = { ...limits, metrics: metricsOf(platform) }
  const server = await gateway({ host: '127.0.0.1', port: 0, log, edge })
  base = httpUrl('127.0.0.1', listeningPort(server.server, 0))
  if (platform.identityService) await writeAccounts(dataDir, platform.identityService, base)
  const socket = await serveQueue(platform.queue, { path, admit, clock, log })
  const stopConsumers = startConsumers(platform)
  return {
    cloud,
    async close() {
      await server.close()
      await stopConsumers()
      await socket.close()
      await platform.queue.close()
      await platform.store.close()
    },
  }
}

/** The host daemon, as `host/main.ts` sets it up. */
async function startHost(cloud: EmbeddedCloud, dataDir: string, agent: string) {
  mkdirSync(dataDir)
  const engines = { toy: { '1': import.meta.dirname } }
  const config: HostConfig = {
    ...(await cloud.hostAccess()),
    dataDir,
    runtime: { node: process.execPath, agent, engines },
    endpointFile: join(dataDir, 'endpoint'),
    spare: { manager: 'toy', version: '1', count: 0 },
    network: `127.${200 + (process.pid % 50)}`,
    ramMb: 8_192,
    root: 'administrator',
    logLevel: 'error',
  }
  writeFileSync(config.endpointFile, cloud.platform.enrolUrl())
  const { address, token } = assertKind('socket', config.queue)
  const queue = socketQueue({ clock, log, path: () => address, token: async () => token })
  const key = (direction: 'up' | 'down') => new Uint8Array(Buffer.from(config.keys[direction], 'base64url'))
  const seals = sealer({ kid: async () => config.kid, key: async (_kid, _subject, _generation, way) => key(way) })
  const reports = new Reports({ config, queue, sealer: seals, sequence: risingNumbers(), clock, random, log })
  const daemon = new Daemon({
    confinement: UNCONFINED,
    ...{ config, clock, random, log, ...datastores },
    machines: { toy: toyMachine },
    report: (method, part, state) => reports.send(method, { ...part, state }),
    ownership: async () => 'held',
    onEnd: () => {},
  })
  await daemon.start()
  const stopping = new AbortController()
  const report = hostReport(config)
  if (report) await registerHost(cloud.platform, config.hostId, report)
  void reports.announce(stopping.signal)
  const receiving = receiveRequests(
    { config, queue, sealer: seals, handlers: daemon.handlers, clock, log },
    stopping.signal,
  )
  return {
    async close() {
      stopping.abort()
      await receiving
      await daemon.stop()
      await queue.close()
    },
  }
}
