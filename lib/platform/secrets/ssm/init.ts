import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import type { Random } from '../../../kit/clock.ts'
import { type AwsConnection, clientOptions, errorName } from '../../aws/connection.ts'

/**
 * Creates the parameter with a master key of 32 random bytes. Returns false if it exists already; it is never replaced.
 */
export async function makeMasterKey(options: {
  connection: AwsConnection
  parameter: string
  random: Random
}): Promise<boolean> {
  const { connection, parameter: Name, random } = options
  const client = new SSMClient(clientOptions(connection))
  const id = `k-${random.uuid().slice(0, 8)}`
  const key = Buffer.from(random.bytes(32)).toString('base64url')
  const Value = JSON.stringify({ current: id, keys: [{ id, key }] })
  try {
    await client.send(new PutParameterCommand({ Name, Value, Type: 'SecureString', Overwrite: false }))
    return true
  } catch (error) {
    if (errorName(error) === 'ParameterAlreadyExists') return false
    throw error
  } finally {
    client.destroy()
  }
}
