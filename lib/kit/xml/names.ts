/** The namespace of every document, on its root. */
export const NAMESPACE = 'http://docs.openstack.org/database/api/v1.0'

/** The root of what has no single top key to name it. */
export const BARE_ROOTS = 'object'

/** Lists wherever they stand: what has no schema to say so is read by these. */
export const LISTS = ['databases', 'users']

/**
 * Which keys of an object are written as attributes, by the name of its element, in this order. All others are child
 * elements; what is not named here (backups, limits, datastores …) has children only.
 */
export const ATTRIBUTES = table({
  instance:
    'id name status hostname created updated host server_id local_id task_description deleted deleted_at tenant_id',
  volume: 'size used id',
  flavor: 'id ram name',
  link: 'href rel',
  database: 'name character_set collate',
  user: 'name password host',
  version: 'id status updated',
  security_group: 'id name description user tenant_id',
  security_group_rule: 'id group_id protocol from_port to_port cidr',
  host: 'instanceCount name usedRAM totalRAM percentUsed',
  capacity: 'available total',
  provision: 'available total percent',
  device: 'used name type',
  account: 'id num_instances',
  quotas: 'instances volumes backups',
  guest_status: 'state_description',
  diagnostics: 'vmHwm vmPeak vmSize threads version vmRss fdSize',
  root_history: 'enabled id user',
  overLimit: 'code retryAfter',
  badRequest: 'code',
  unauthorized: 'code',
  forbidden: 'code',
  itemNotFound: 'code',
  notAcceptable: 'code',
  conflict: 'code',
  unsupportedMediaType: 'code',
  unprocessableEntity: 'code',
  tooManyRequests: 'code',
  insufficientStorage: 'code',
  instanceFault: 'code',
  serverError: 'code',
  notImplemented: 'code',
  serviceUnavailable: 'code',
  gatewayTimeout: 'code',
  // What filters and the gateway answer before a controller is reached.
  error: 'code title',
})

function table(words: Record<string, string>): ReadonlyMap<string, readonly string[]> {
  return new Map(Object.entries(words).map(([name, keys]) => [name, keys.split(' ')]))
}

/** What a name begins with, and what it is made of. */
const START = /^[A-Za-z_\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u02FF\u0370-\u037D\u037F-\u1FFF\u200C-\u200D\u2070-\u218F]/
const NAME =
  /^[A-Za-z_0-9.\-\u00B7\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u037D\u037F-\u1FFF\u200C-\u200D\u203F\u2040\u2070-\u218F]+$/

/** Names that readers of documents refuse, for what they could do to an object. */
const REFUSED = ['__proto__', 'constructor', 'prototype']

/** Whether a key can be the name of an element. */
export const isName = (key: string) => START.test(key) && NAME.test(key) && !REFUSED.includes(key)

/** The name of a list's items: the list's without its last `s`, else `item`. */
export const itemName = (list: string) => (/.s$/.test(list) ? list.slice(0, -1) : 'item')
