import { z } from 'zod'
import { awaitedCommand } from '../../agents/awaited-command.ts'
import { openInstance } from '../../agents/open-instance.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { recordRootEnabled } from '../../model/root-history.ts'
import { NewPasswords } from '../../model/user.ts'
import type { Platform } from '../../platform/platform.ts'

/** The password to set; a random one if it is missing. */
export const EnableBody = z.object({ password: NewPasswords.element.shape.password.nullish() })
type EnableBody = z.infer<typeof EnableBody>

/** Encoded, a random password has 36 characters, as Trove's do. */
const PASSWORD_BYTES = 27

/** `POST …/root`: enables root's login, and returns its password. */
export async function enableRoot(call: Call<EnableBody | undefined, Platform>): Promise<Mutation> {
  const { agent, instance, manifest } = await openInstance(call, 'root', 'enable_root_with_password')
  const { deps } = call
  const password = call.body?.password ?? Buffer.from(deps.random.bytes(PASSWORD_BYTES)).toString('base64url')
  const history = await recordRootEnabled(deps, instance.project, instance.id, call.user)
  const command = await agent.enable_root_with_password({ root_password: password })
  const planned = { ...command, changes: [...history, ...command.changes] }
  return awaitedCommand(deps, planned, { status: 200, body: { user: { name: manifest.can.root.user, password } } })
}
