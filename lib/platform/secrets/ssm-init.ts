import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import type { Random } from '../../kit/clock.ts'
import { type AwsConnection, clientOptions, nameOf } from '../aws.ts'

/** Makes the parameter with a first master key of 32 random bytes; false if there is one already: it is never replaced. */
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
    if (nameOf(error) === 'ParameterAlreadyExists') return false
    throw error
  } finally {
    client.destroy()
  }
}
