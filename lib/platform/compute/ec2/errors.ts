import { errorName } from '../../aws/connection.ts'

/** AWS refuses, and a retry will not help: it becomes the instance's fault. The message is for the instance's owner. */
export class CloudFault extends Error {
  override name = 'CloudFault'
}

/** AWS cannot do it yet: throttled, out of order, or not consistent yet. The saga retries it. */
export class CloudBusy extends Error {
  override name = 'CloudBusy'
}

/** What AWS lacks, or which limit of the account is reached, by error code. Each completes a sentence about AWS. */
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

/** Eventual consistency: AWS's answers lag a little behind what was done. */
const LAGGING = [
  /^Invalid(InstanceID|Volume|Group|GroupId|AllocationID|NetworkInterfaceID|AssociationID)\.NotFound$/,
  /^Incorrect(InstanceState|State|ModificationState)$/,
  /^(VolumeInUse|DependencyViolation|InvalidAddress\.Locked|ResourceAlreadyAssociated|OperationNotPermitted)$/,
]

const BUSY = /Throttl|RequestLimitExceeded|TooManyRequests|SlowDown|Unavailable|InternalError|InternalFailure|Timeout/

/** Whether the same call may succeed later. */
function isTransient(error: unknown, name: string): boolean {
  const { $metadata, $retryable } = shape(error)
  const status = $metadata?.httpStatusCode
  // Without a status there was no answer: a network failure, or a timeout.
  if (status === undefined || status >= 500 || status === 429 || $retryable !== undefined) return true
  return BUSY.test(name) || LAGGING.some(pattern => pattern.test(name))
}

interface Shape {
  $metadata?: { httpStatusCode?: number }
  $retryable?: unknown
}
const shape = (error: unknown): Shape => (typeof error === 'object' && error !== null ? error : {})

/**
 * What an error of EC2 means: CloudBusy if it is transient; CloudFault for lack of capacity, for limits, and for wrong
 * configuration. `logLine` gets the latter's details in one line for the operator; the owner sees the error code only.
 */
export function translate(error: unknown, action: string, logLine: (line: string) => void): CloudFault | CloudBusy {
  if (error instanceof CloudFault || error instanceof CloudBusy) return error
  const name = errorName(error)
  const limit = Object.hasOwn(LIMITS, name) ? LIMITS[name] : undefined
  if (limit !== undefined) return new CloudFault(`AWS ${limit} (${name}).`)
  if (isTransient(error, name)) return new CloudBusy(`AWS could not ${action} yet (${name}).`)
  const message = error instanceof Error ? error.message : ''
  logLine(`EC2 refused to ${action}: ${name}: ${message.replace(/\s+/g, ' ').slice(0, 200)}`)
  return new CloudFault(
    `The machine could not be made: AWS refused to ${action} (${name}). The operator's log says more.`,
  )
}

/** Why a machine terminated by itself, from its state reason, as a sentence. */
export function terminationReason(
  reason: { Code?: string | undefined; Message?: string | undefined } | undefined,
): string {
  const code = reason?.Code?.split('.').at(-1) ?? ''
  const limit = Object.hasOwn(LIMITS, code) ? LIMITS[code] : undefined
  if (limit !== undefined) return `AWS ${limit} (${code}).`
  return `AWS ended the machine${reason?.Message ? `: ${reason.Message.slice(0, 200)}` : '.'}`
}
