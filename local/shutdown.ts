/** An orderly end at the first SIGINT, SIGTERM or SIGHUP; later ones change nothing. */
export interface Shutdown {
  /** Whether a signal has come. */
  readonly requested: boolean
  /** Says how to stop, once everything has started. If a signal came before, the stop begins now. */
  ready(stop: () => Promise<void>): void
}

/** Handles signals from now on: what is still starting first finishes that, and then stops. */
export function onSignals(onError: (error: unknown) => void): Shutdown {
  let requested = false
  let stop: (() => Promise<void>) | undefined
  const stopAndExit = () => {
    stop?.().then(() => process.exit(0), onError)
  }
  const onSignal = () => {
    if (requested) return
    requested = true
    stopAndExit()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  return {
    get requested() {
      return requested
    },
    ready(handler) {
      stop = handler
      if (requested) stopAndExit()
    },
  }
}
