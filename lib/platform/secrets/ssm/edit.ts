import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import { type AwsConnection, clientOptions } from '../../aws/connection.ts'
import { type KeyDocument, parseKeys, writeKeyDocument } from '../key-set.ts'

/** Replaces the keys in the parameter by what `change` makes of them. Throws BadKeys, also if the result is not valid. */
export async function editKeyParameter(
  { connection, parameter: Name }: { connection: AwsConnection; parameter: string },
  change: (document: KeyDocument) => KeyDocument,
): Promise<KeyDocument> {
  const client = new SSMClient(clientOptions(connection))
  try {
    const { Parameter } = await client.send(new GetParameterCommand({ Name, WithDecryption: true }))
    const { document } = parseKeys(Parameter?.Value ?? '')
    const next = change(document)
    if (next === document) return next
    const Value = writeKeyDocument(next)
    parseKeys(Value)
    await client.send(new PutParameterCommand({ Name, Value, Type: 'SecureString', Overwrite: true }))
    return next
  } finally {
    client.destroy()
  }
}
