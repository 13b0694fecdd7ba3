import type { Platform } from '../platform/platform.ts'

let current: Platform | undefined

/** Sets the platform that the functions of this process run on. */
export function wire(platform: Platform): void {
  current = platform
}

/** The platform of this process. Throws before `wire`. */
export function wired(): Platform {
  if (!current) throw new Error('no platform is wired')
  return current
}
