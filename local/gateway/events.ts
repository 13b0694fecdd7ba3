import { randomUUID } from 'node:crypto'
import type { APIGatewayProxyEvent, APIGatewayRequestAuthorizerEvent, Context, SQSEvent } from 'aws-lambda'
import type { Message } from '../../lib/ports/queue.ts'

/** An HTTP request, before it becomes an event. */
export interface Incoming {
  method: string
  /** As the client sent it, percent-encoded, without the query. */
  path: string
  search: string
  headers: Record<string, string>
  body: string
  remote: string
}

/** The event of an API Gateway REST proxy integration. `authorizer` is the authorizer's context. */
export function proxyEvent(incoming: Incoming, authorizer: Record<string, unknown> | undefined): APIGatewayProxyEvent {
  const { method, path, search, headers, body, remote } = incoming
  const query = search === '' ? [] : [...new URLSearchParams(search)]
  return {
    resource: path === '/' ? '/' : '/{proxy+}',
    path,
    httpMethod: method,
    headers,
    multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    queryStringParameters: query.length === 0 ? null : Object.fromEntries(query),
    multiValueQueryStringParameters: query.length === 0 ? null : groupByName(query),
    pathParameters: path === '/' ? null : { proxy: path.slice(1) },
    stageVariables: null,
    body: body === '' ? null : body,
    isBase64Encoded: false,
    requestContext: requestContext(method, path, remote, authorizer),
  }
}

function requestContext(
  method: string,
  path: string,
  remote: string,
  authorizer: Record<string, unknown> | undefined,
): APIGatewayProxyEvent['requestContext'] {
  const identity = { sourceIp: remote } as APIGatewayProxyEvent['requestContext']['identity']
  return {
    accountId: 'local',
    apiId: 'local',
    authorizer: authorizer ?? {},
    protocol: 'HTTP/1.1',
    httpMethod: method,
    identity,
    path,
    stage: 'local',
    requestId: randomUUID(),
    requestTimeEpoch: Date.now(),
    resourceId: 'local',
    resourcePath: '/{proxy+}',
  }
}

/** The event of a REQUEST authorizer. */
export function authorizerEvent({ method, path, headers }: Incoming): APIGatewayRequestAuthorizerEvent {
  return {
    type: 'REQUEST',
    methodArn: `arn:aws:execute-api:local:local:local/local/${method}${path}`,
    resource: '/{proxy+}',
    path,
    httpMethod: method,
    headers,
    multiValueHeaders: null,
    pathParameters: { proxy: path.slice(1) },
    queryStringParameters: null,
    multiValueQueryStringParameters: null,
    stageVariables: null,
    requestContext: requestContext(
      method,
      path,
      '',
      undefined,
    ) as unknown as APIGatewayRequestAuthorizerEvent['requestContext'],
  }
}

/** The event of an SQS event source mapping. */
export function sqsEvent(topic: string, messages: Message[]): SQSEvent {
  return {
    Records: messages.map(({ id, body, receipt, attempt, group }) => ({
      messageId: id,
      receiptHandle: receipt,
      body,
      attributes: {
        ApproximateReceiveCount: String(attempt),
        SentTimestamp: '',
        SenderId: 'local',
        ApproximateFirstReceiveTimestamp: '',
        ...(group !== undefined && { MessageGroupId: group }),
      },
      messageAttributes: {},
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: `arn:aws:sqs:local:local:${topic}`,
      awsRegion: 'local',
    })),
  }
}

/** A Lambda context with that much time left. */
export function contextOf(name: string, timeoutMs: number): Context {
  const end = Date.now() + timeoutMs
  return {
    functionName: name,
    functionVersion: '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:local:local:function:${name}`,
    memoryLimitInMB: '512',
    awsRequestId: randomUUID(),
    logGroupName: name,
    logStreamName: 'local',
    callbackWaitsForEmptyEventLoop: false,
    getRemainingTimeInMillis: () => Math.max(0, end - Date.now()),
    done: () => {},
    fail: () => {},
    succeed: () => {},
  }
}

function groupByName(query: [string, string][]): Record<string, string[]> {
  // Without a prototype, so that a parameter `__proto__` is a name like any other.
  const groups: Record<string, string[]> = Object.create(null)
  for (const [name, value] of query) groups[name] = [...(groups[name] ?? []), value]
  return groups
}
