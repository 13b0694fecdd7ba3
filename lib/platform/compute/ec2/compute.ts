import type { Compute } from '../../../ports/compute.ts'
import { readOnlyCompute } from '../read-only/compute.ts'
import { type Ec2Options, ec2Context } from './context.ts'
import { ec2ElasticIps } from './elastic-ips.ts'
import { ec2Placement } from './placement.ts'
import { ec2PollStates } from './poll-states.ts'
import { ec2SecurityGroups } from './security-groups.ts'
import { Ec2Servers } from './servers.ts'
import { Ec2Volumes } from './volumes.ts'

/**
 * Machines on EC2. Each call takes the requested change one step further and records the state it saw. Sagas repeat the
 * call until the change is done; states are read from the record. Throws CloudBusy for what is to be retried.
 */
export function ec2Compute(options: Ec2Options): Compute & { close(): void } {
  const context = ec2Context(options)
  const placement = ec2Placement(context)
  const volumes = new Ec2Volumes(context, placement)
  const groups = ec2SecurityGroups(context)
  const servers = new Ec2Servers(context, { placement, volumes, groups, addresses: ec2ElasticIps(context) })
  return {
    ...readOnlyCompute(options.store),
    createVolume: spec => volumes.create(spec),
    deleteVolume: spec => volumes.delete(spec),
    resizeVolume: spec => volumes.resize(spec),
    createServer: spec => servers.create(spec),
    deleteServer: spec => servers.delete(spec),
    changeServer: spec => servers.change(spec),
    rebootServer: spec => servers.reboot(spec),
    changeAccess: spec => servers.changeAccess(spec),
    pollStates: () => ec2PollStates(context),
    close: () => context.client.destroy(),
  }
}
