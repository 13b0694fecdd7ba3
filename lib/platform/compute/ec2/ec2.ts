import type { Compute } from '../compute.ts'
import { observed } from '../observed.ts'
import { ec2Addresses } from './addresses.ts'
import { ec2Groups } from './groups.ts'
import { placesOf } from './places.ts'
import { ec2Servers } from './servers.ts'
import { ec2Survey } from './survey.ts'
import { type Ec2Options, toolsOf } from './tools.ts'
import { ec2Volumes } from './volumes.ts'

/**
 * Instances as machines of EC2. Every method takes what it is asked for one step further and keeps what it saw; sagas ask
 * again until it is done, and the facts are read from what was kept. Throws CloudBusy for what is to be tried again.
 */
export function ec2Compute(options: Ec2Options): Compute & { close(): void } {
  const tools = toolsOf(options)
  const places = placesOf(tools)
  const volumes = ec2Volumes(tools, places)
  const servers = ec2Servers(tools, { places, volumes, groups: ec2Groups(tools), addresses: ec2Addresses(tools) })
  const { createVolume, deleteVolume, resizeVolume } = volumes
  return {
    ...observed(options.store),
    ...{ createVolume, deleteVolume, resizeVolume },
    ...servers,
    survey: () => ec2Survey(tools),
    close: () => tools.client.destroy(),
  }
}
