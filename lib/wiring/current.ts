import type { Platform } from '../platform/platform.ts'

let current: Platform | undefined

/** Sets the platform that the functions of this process run on. */
export function setPlatform(platform: Platform): void {
  current = platform
}

/** The platform of this process. Throws before `setPlatform`. */
export function getPlatform(): Platform {
  if (!current) throw new Error('the platform is not set')
  return current
}
