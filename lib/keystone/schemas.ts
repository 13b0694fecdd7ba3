import { z } from 'zod'
import { badRequest } from '../kit/errors.ts'

const MAX_DEPTH = 16

/** A client may send either or both. */
const idOrName = { id: z.string().optional(), name: z.string().optional() }

const Domain = z.object(idOrName)
export type Domain = z.infer<typeof Domain>

const UserRef = z.object({ ...idOrName, domain: Domain.optional() })
const ProjectRef = UserRef
export type ProjectRef = z.infer<typeof ProjectRef>

const PasswordMethod = z.object({ user: UserRef.extend({ password: z.string() }) })
export type PasswordMethod = z.infer<typeof PasswordMethod>

const SecretMethod = z.object({ ...idOrName, secret: z.string(), user: UserRef.optional() })
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

/** Text that every store can hold: no NUL and no lone surrogate. */
const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength, { abort: true })
    .refine(value => value.isWellFormed() && !value.includes('\0'), 'contains characters that cannot be stored')

/** `POST /v3/users/{id}/application_credentials` */
export const CredentialRequest = z.object({
  application_credential: z.object({
    name: text(255).min(1),
    description: text(1000).nullish(),
    secret: z.string().min(1).max(4096).nullish(),
    roles: z.array(z.object(idOrName)).max(50).nullish(),
    expires_at: z.string().max(64).nullish(),
    unrestricted: z.boolean().nullish(),
    access_rules: z.array(z.unknown()).nullish(),
  }),
})
export type CredentialSpec = z.infer<typeof CredentialRequest>['application_credential']

/** `POST /v3/users/{id}/password` */
export const PasswordRequest = z.object({
  user: z.object({ password: z.string().min(1).max(4096), original_password: z.string() }),
})

/** The body parsed by the schema. Throws Fault 400, which names the wrong field and never quotes its value. */
export function parseRequest<T>(schema: z.ZodType<T>, body: string | undefined): T {
  const value = decode(body ?? '')
  if (isDeeperThan(value, MAX_DEPTH)) throw badRequest('The request body is nested too deeply.')
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

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some(item => isDeeperThan(item, levels - 1))
}
