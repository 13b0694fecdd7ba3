import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import { type AwsConnection, clientOptions } from '../../aws/connection.ts'
import { changeKeys, type KeyDocument } from '../key-set.ts'

/** Replaces the keys in the parameter by what `change` makes of them. Throws BadKeys, also if the result is not valid. */
export async function editKeyParameter(
  { connection, parameter: Name }: { connection: AwsConnection; parameter: string },
  change: (document: KeyDocument) => KeyDocument,
): Promise<KeyDocument> {
  const client = new SSMClient(clientOptions(connection))
  try {
    const { Parameter } = await client.send(new GetParameterCommand({ Name, WithDecryption: true }))
    const { document, changed: Value } = changeKeys(Parameter?.Value ?? '', change)
    if (Value !== undefined)
      await client.send(new PutParameterCommand({ Name, Value, Type: 'SecureString', Overwrite: true }))
    return document
  } finally {
    client.destroy()
  }
}
