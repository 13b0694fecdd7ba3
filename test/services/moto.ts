import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DescribeImagesCommand, DescribeSubnetsCommand, EC2Client } from '@aws-sdk/client-ec2'
import type { AwsCredentials } from '../../lib/platform/aws/connection.ts'
import { freePort } from '../../localstack/emulator.ts'
import { pythonEnvironment } from '../../localstack/python.ts'
import { realClock } from '../kit/virtual-clock.ts'

/** What happens to the next `times` calls of one action: an error of EC2, a lost answer, or an empty one. */
export interface Failure {
  action: string
  times: number
  /** An error; `lost`: done, but the connection breaks; `unseen`: an empty list, as just after a create. */
  how: { code: string; status: number } | 'lost' | 'unseen'
}

/** An emulator of EC2 (moto) behind a proxy that honours client tokens, which moto does not, and makes calls fail. */
export interface Moto {
  connection: { region: string; endpoint: string; credentials: () => Promise<AwsCredentials> }
  /** Calls the emulator itself, not through the proxy. */
  client: EC2Client
  image: string
  subnets: string[]
  /** The actions that were called, in order. */
  calls: string[]
  fail(failure: Failure): void
  /** No call fails any more. */
  clearFailures(): void
  stop(): Promise<void>
}

const PROGRAM = join(pythonEnvironment('requirements-ec2.txt'), 'bin', 'moto_server')
const REGION = 'eu-central-1'
const PAUSE_MS = 100
const TRIES = 600

export async function startMoto(): Promise<Moto> {
  const home = await mkdtemp(join(tmpdir(), 'coffer-moto-'))
  const port = await freePort()
  const strict = { MOTO_ENABLE_AMI_VALIDATION: 'true', MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION: 'true' }
  const env = { PATH: process.env['PATH'], HOME: home, PYTHONDONTWRITEBYTECODE: '1', ...strict }
  const child = spawn(PROGRAM, ['-H', '127.0.0.1', '-p', String(port)], { cwd: home, env, stdio: 'ignore' })
  const direct = `http://127.0.0.1:${port}`
  await waitUntilReady(direct, child)
  const calls: string[] = []
  const failures: Failure[] = []
  const server = createServer(emulatorProxy(direct, calls, failures)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const credentials = async () => ({ accessKeyId: 'test', secretAccessKey: 'test' })
  const client = new EC2Client({ region: REGION, endpoint: direct, credentials })
  const images = await client.send(
    new DescribeImagesCommand({ Filters: [{ Name: 'architecture', Values: ['arm64'] }] }),
  )
  const subnets = await client.send(new DescribeSubnetsCommand({}))
  return {
    connection: { region: REGION, endpoint: `http://127.0.0.1:${portOf(server)}`, credentials },
    client,
    image: images.Images?.[0]?.ImageId ?? '',
    subnets: (subnets.Subnets ?? []).slice(0, 2).map(({ SubnetId = '' }) => SubnetId),
    calls,
    fail: failure => void failures.push({ ...failure }),
    clearFailures: () => void failures.splice(0),
    async stop() {
      client.destroy()
      server.closeAllConnections()
      server.close()
      const ended = once(child, 'exit')
      if (child.exitCode === null) child.kill()
      if (child.exitCode === null && child.signalCode === null) await ended
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** Forwards calls. A repeated client token gets the first answer again, or an error if the call differs. */
function emulatorProxy(direct: string, calls: string[], failures: Failure[]) {
  const answers = new Map<string, { parameters: string; text: string }>()
  return async (request: IncomingMessage, response: ServerResponse) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece)
    const body = Buffer.concat(pieces).toString()
    const parameters = new URLSearchParams(body)
    const action = parameters.get('Action') ?? ''
    calls.push(action)
    const failure = failures.find(one => one.action === action && one.times > 0)
    if (failure) failure.times -= 1
    if (failure?.how === 'unseen') return send(response, 200, `<${action}Response></${action}Response>`)
    if (failure && failure.how !== 'lost') return send(response, failure.how.status, fault(failure.how.code))
    const token = parameters.get('ClientToken')
    parameters.delete('ClientToken')
    const first = token === null ? undefined : answers.get(`${action}/${token}`)
    if (first && first.parameters !== String(parameters))
      return send(response, 400, fault('IdempotentParameterMismatch'))
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `${request.headers.authorization}`,
    }
    const answer = first ? new Response(first.text) : await fetch(direct, { method: 'POST', headers, body })
    const text = await answer.text()
    const { status } = answer
    if (token !== null && status === 200) answers.set(`${action}/${token}`, { parameters: String(parameters), text })
    if (failure) return request.socket.destroy()
    send(response, status, text)
  }
}

const fault = (code: string) =>
  `<Response><Errors><Error><Code>${code}</Code><Message>as requested</Message></Error></Errors><RequestID>r</RequestID></Response>`

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/xml' }).end(text)
}

async function waitUntilReady(endpoint: string, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < TRIES && child.exitCode === null; attempt++) {
    const answer = await fetch(`${endpoint}/moto-api/data.json`).catch(() => undefined)
    if (answer?.ok) return
    await realClock.sleep(PAUSE_MS)
  }
  child.kill()
  throw new Error('moto did not start')
}

function portOf(server: Server): number {
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('no port')
  return address.port
}
