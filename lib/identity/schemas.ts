import { z } from 'zod'
import { badRequest } from './http.ts'

const DEEPEST = 16

/** Both as a client may send them; one of them is enough. */
const named = { id: z.string().optional(), name: z.string().optional() }

const Domain = z.object(named)
export type Domain = z.infer<typeof Domain>

const UserRef = z.object({ ...named, domain: Domain.optional() })
const ProjectRef = UserRef
export type ProjectRef = z.infer<typeof ProjectRef>

const PasswordMethod = z.object({ user: UserRef.extend({ password: z.string() }) })
export type PasswordMethod = z.infer<typeof PasswordMethod>

const SecretMethod = z.object({ ...named, secret: z.string(), user: UserRef.optional() })
export type SecretMethod = z.infer<typeof SecretMethod>

/** `POST /v3/auth/tokens` */
export const AuthRequest = z.object({
  auth: z.object({
    identity: z.object({
      methods: z.array(z.string()).min(1).max(8),
      password: PasswordMethod.optional(),
      token: z.object({ id: z.string() }).optional(),
      application_credential: SecretMethod.optional(),
    }),
    scope: z.union([z.string(), z.looseObject({ project: ProjectRef.optional() })]).optional(),
  }),
})
export type Auth = z.infer<typeof AuthRequest>['auth']

/** Text that every store can keep: no NUL and no half of a surrogate pair. */
const text = (most: number) =>
  z
    .string()
    .max(most)
    .refine(value => value.isWellFormed() && !value.includes('\0'), 'not a text that can be stored')

/** `POST /v3/users/{id}/application_credentials` */
export const CredentialRequest = z.object({
  application_credential: z.object({
    name: text(255).min(1),
    description: text(1000).nullish(),
    secret: z.string().min(1).max(4096).nullish(),
    roles: z.array(z.object(named)).max(50).nullish(),
    expires_at: z.string().max(64).nullish(),
    unrestricted: z.boolean().nullish(),
    access_rules: z.array(z.unknown()).nullish(),
  }),
})
export type CredentialWish = z.infer<typeof CredentialRequest>['application_credential']

/** `POST /v3/users/{id}/password` */
export const PasswordRequest = z.object({
  user: z.object({ password: z.string().min(1).max(4096), original_password: z.string() }),
})

/** A request's body by its schema. Throws a 400 (which names the place, never the value). */
export function parse<T>(schema: z.ZodType<T>, body: string | undefined): T {
  const value = decode(body ?? '')
  if (deeperThan(value, DEEPEST)) throw badRequest('The request body is nested too deep.')
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw badRequest(`Invalid input for field '${issue?.path.map(String).join('/')}': ${issue?.message}`)
}

function decode(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw badRequest('The request body is not valid JSON.')
  }
}

function deeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some(each => deeperThan(each, levels - 1))
}
