/** A clean end at the first signal; later ones change nothing. */
export interface Shutdown {
  readonly asked: boolean
  /** Everything is up: this is how it ends. A signal that came before is answered now. */
  ready(stop: () => Promise<void>): void
}

/** Listens from the first moment: what is half started is first started, and then stopped. */
export function onSignals(failed: (error: unknown) => void): Shutdown {
  let asked = false
  let stop: (() => Promise<void>) | undefined
  const end = () => {
    stop?.().then(() => process.exit(0), failed)
  }
  const ask = () => {
    if (asked) return
    asked = true
    end()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask)
  return {
    get asked() {
      return asked
    },
    ready(how) {
      stop = how
      if (asked) end()
    },
  }
}
