import { z } from 'zod'

/** How clients may come: TLS is offered, or nothing else is taken. */
export const SslMode = z.enum(['basic', 'enforced'])
export type SslMode = z.infer<typeof SslMode>

/** What an instance's server does about TLS; the mode is null when it is off. */
export const SslState = z.object({ status: z.enum(['on', 'off']), mode: SslMode.nullable() })
export type SslState = z.infer<typeof SslState>

/** The same with what is served: the certificate with its chain, and what to trust (PEM). */
export const SslView = SslState.extend({ certificate: z.string().optional(), ca: z.string().optional() })
export type SslView = z.infer<typeof SslView>

/** What a change of it answers. */
export const SslOutcome = SslState.extend({ restart_required: z.boolean() })
export type SslOutcome = z.infer<typeof SslOutcome>
