import type { toDate } from '../../kit/time.ts'

/** AWS's region, endpoint and credentials; the SDK takes what is left out from the environment. */
export interface AwsConnection {
  region?: string
  /** An emulator's; default AWS's own. */
  endpoint?: string
  /** Called again when the last ones have expired. */
  credentials?: () => Promise<AwsCredentials>
}

export interface AwsCredentials {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string
  expiration?: ReturnType<typeof toDate>
}

/** Three tries of these lengths end before a Lambda times out. */
const CONNECT_MS = 2_000
const ANSWER_MS = 8_000
const MAX_ATTEMPTS = 3

/** The options of an SDK client; `answerMs` is how long one try waits for its response. */
export function clientOptions(connection: AwsConnection, answerMs = ANSWER_MS) {
  const { region, endpoint, credentials } = connection
  return {
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: answerMs, throwOnRequestTimeout: true },
    ...(region && { region }),
    ...(endpoint && { endpoint }),
    ...(credentials && { credentials }),
  }
}

/**
 * A client that is created when it is first used, so that a function's first request waits for no client it does not
 * need.
 */
export function lazyClient<C extends { destroy(): void }>(create: () => C): { get(): C; destroy(): void } {
  let client: C | undefined
  return {
    get() {
      client ??= create()
      return client
    },
    destroy: () => client?.destroy(),
  }
}

/** The name of a service's error, as in AWS's documentation. */
export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : ''
}
