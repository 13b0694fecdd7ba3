import type { dateOf } from '../kit/time.ts'

/** Where AWS's services are and who asks; what is left out comes from the environment, as the SDK reads it. */
export interface AwsConnection {
  region?: string
  /** Of an emulator; left out: AWS itself. */
  endpoint?: string
  /** Asked again when those given have expired. */
  credentials?: () => Promise<AwsCredentials>
}

export interface AwsCredentials {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string
  expiration?: ReturnType<typeof dateOf>
}

/** No call may outlast a Lambda's patience: three tries of at most so long. */
const CONNECT_MS = 2_000
const ANSWER_MS = 8_000
const TRIES = 3

/** The options of an SDK client; `answerMs` is how long one try waits for its answer. */
export function clientOptions(connection: AwsConnection, answerMs = ANSWER_MS) {
  const { region, endpoint, credentials } = connection
  return {
    maxAttempts: TRIES,
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: answerMs, throwOnRequestTimeout: true },
    ...(region && { region }),
    ...(endpoint && { endpoint }),
    ...(credentials && { credentials }),
  }
}

/** A client that is made when it is first used: a function's first request waits for none that it does not need. */
export function onUse<C extends { destroy(): void }>(make: () => C): { get(): C; destroy(): void } {
  let made: C | undefined
  return {
    get() {
      made ??= make()
      return made
    },
    destroy: () => made?.destroy(),
  }
}

/** The name of a service's error, as its documentation has it. */
export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}
