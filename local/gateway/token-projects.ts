const MAX_TOKENS = 2_000

/**
 * The projects of tokens that were valid when last checked. Requests queue by project before their token is checked
 * again: this decides about turns only, never about access.
 */
export class TokenProjects {
  readonly #projects = new Map<string, string>()

  /** Remembers a valid token's project, and forgets the token that was used least recently. */
  remember(token: string, project: string): void {
    this.#projects.delete(token)
    this.#projects.set(token, project)
    const [oldest] = this.#projects.keys()
    if (this.#projects.size > MAX_TOKENS && oldest !== undefined) this.#projects.delete(oldest)
  }

  projectOf(token: string | undefined): string | undefined {
    return token === undefined ? undefined : this.#projects.get(token)
  }
}
