import { z } from 'zod'
import { command, query } from '../../kit/rpc/contract.ts'

/** `basic`: TLS is offered. `enforced`: connections without TLS are refused. */
export const SslMode = z.enum(['basic', 'enforced'])
export type SslMode = z.infer<typeof SslMode>

/** The TLS state of an instance's server. The mode is null when TLS is off. */
export const SslState = z.object({ status: z.enum(['on', 'off']), mode: SslMode.nullable() })
export type SslState = z.infer<typeof SslState>

/** The same with the server's certificate chain and the authorities to trust (PEM). */
export const SslView = SslState.extend({ certificate: z.string().optional(), ca: z.string().optional() })
export type SslView = z.infer<typeof SslView>

/** The result of a change of the TLS state. */
export const SslOutcome = SslState.extend({ restart_required: z.boolean() })
export type SslOutcome = z.infer<typeof SslOutcome>

/** Methods of datastores whose servers speak TLS. */
export const tlsMethods = {
  ssl_show: query(z.object({}), SslView),
  /** Turns TLS on, in this mode, or off. */
  ssl_action: command(z.object({ enable: z.boolean(), mode: SslMode.optional() }), SslOutcome),
  /** Reverts the last ssl_action. */
  ssl_rollback: command(z.object({}), SslOutcome),
}
