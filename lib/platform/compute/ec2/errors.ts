import { nameOf } from '../../aws.ts'

/** AWS does not do it, and asking again will not help: what it made an instance's fault. Readable for its owner. */
export class CloudFault extends Error {
  override name = 'CloudFault'
}

/** AWS asks for patience: throttled, out of order, or not as far yet. The saga tries it again later. */
export class CloudBusy extends Error {
  override name = 'CloudBusy'
}

/** What AWS has too little of, or what the account may not have more of, in words. */
const LIMITS: Record<string, string> = {
  InsufficientInstanceCapacity: 'has no machine of this size free now',
  InsufficientHostCapacity: 'has no machine of this size free now',
  InsufficientVolumeCapacity: 'has no room for the volume now',
  InsufficientFreeAddressesInSubnet: 'has no free address in the network',
  InsufficientAddressCapacity: 'has no public address free now',
  InstanceLimitExceeded: 'lets this Coffer have no more machines',
  VcpuLimitExceeded: 'lets this Coffer have no more processors',
  VolumeLimitExceeded: 'lets this Coffer have no more volumes',
  MaxIOPSLimitExceeded: 'lets this Coffer have no more volumes',
  AddressLimitExceeded: 'lets this Coffer have no more public addresses',
  SecurityGroupLimitExceeded: 'lets this Coffer have no more security groups',
  SecurityGroupsPerInterfaceLimitExceeded: 'lets this Coffer have no more security groups',
  RulesPerSecurityGroupLimitExceeded: 'does not take so many networks in allowed_cidrs',
  VolumeModificationRateExceeded: 'takes no further change of the volume yet: it waits some hours between two',
  Unsupported: 'does not have machines of this size in this zone',
  UnsupportedOperation: 'does not have machines of this size in this zone',
}

/** Not there yet, or no more: AWS's answers lag a little behind what was done. */
const LAGGING = [
  /^Invalid(InstanceID|Volume|Group|GroupId|AllocationID|NetworkInterfaceID|AssociationID)\.NotFound$/,
  /^Incorrect(InstanceState|State|ModificationState)$/,
  /^(VolumeInUse|DependencyViolation|InvalidAddress\.Locked|ResourceAlreadyAssociated|OperationNotPermitted)$/,
]

const BUSY = /Throttl|RequestLimitExceeded|TooManyRequests|SlowDown|Unavailable|InternalError|InternalFailure|Timeout/

/** Whether the same call later may end otherwise. */
function passes(error: unknown, name: string): boolean {
  const { $metadata, $retryable } = shape(error)
  const status = $metadata?.httpStatusCode
  // Without a status nothing was answered: the network, or a time-out.
  if (status === undefined || status >= 500 || status === 429 || $retryable !== undefined) return true
  return BUSY.test(name) || LAGGING.some(pattern => pattern.test(name))
}

interface Shape {
  $metadata?: { httpStatusCode?: number }
  $retryable?: unknown
}
const shape = (error: unknown): Shape => (typeof error === 'object' && error !== null ? error : {})

/**
 * What an error of EC2 means: CloudBusy for what passes; CloudFault for want of capacity, limits, and for what is set up
 * wrongly (`tell` is given that in one line for the operator; the owner reads its code alone).
 */
export function meaning(error: unknown, doing: string, tell: (line: string) => void): CloudFault | CloudBusy {
  if (error instanceof CloudFault || error instanceof CloudBusy) return error
  const name = nameOf(error)
  const limit = Object.hasOwn(LIMITS, name) ? LIMITS[name] : undefined
  if (limit !== undefined) return new CloudFault(`AWS ${limit} (${name}).`)
  if (passes(error, name)) return new CloudBusy(`AWS could not ${doing} yet (${name}).`)
  const message = error instanceof Error ? error.message : ''
  tell(`EC2 refused to ${doing}: ${name}: ${message.replace(/\s+/g, ' ').slice(0, 200)}`)
  return new CloudFault(
    `The machine could not be made: AWS refused to ${doing} (${name}). The operator's log says more.`,
  )
}

/** Why a machine ended by itself, from its state reason, in words. */
export function ending(reason: { Code?: string | undefined; Message?: string | undefined } | undefined): string {
  const code = reason?.Code?.split('.').at(-1) ?? ''
  const limit = Object.hasOwn(LIMITS, code) ? LIMITS[code] : undefined
  if (limit !== undefined) return `AWS ${limit} (${code}).`
  return `AWS ended the machine${reason?.Message ? `: ${reason.Message.slice(0, 200)}` : '.'}`
}
