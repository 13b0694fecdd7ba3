import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DescribeImagesCommand, DescribeSubnetsCommand, EC2Client } from '@aws-sdk/client-ec2'
import type { AwsCredentials } from '../../lib/platform/aws.ts'
import { realClock } from '../kit/virtual-clock.ts'

/** What becomes of the calls of one action: `times` of them fail with an error of EC2, or their answers are lost. */
export interface Failure {
  action: string
  times: number
  /** An error code with its status; `lost`: carried out, but nobody hears of it; `unseen`: what there is does not show yet. */
  how: { code: string; status: number } | 'lost' | 'unseen'
}

/** An emulator of EC2 (moto), with what it lacks in front of it: client tokens are kept, and calls fail as they are told to. */
export interface Moto {
  connection: { region: string; endpoint: string; credentials: () => Promise<AwsCredentials> }
  /** Asks the emulator itself. */
  client: EC2Client
  image: string
  subnets: string[]
  /** The actions that were called, in order. */
  calls: string[]
  fail(failure: Failure): void
  /** Nothing fails any more. */
  heal(): void
  stop(): Promise<void>
}

const PROGRAM = join(import.meta.dirname, '..', '..', '.venv', 'ec2', 'bin', 'moto_server')
const REGION = 'eu-central-1'
const PAUSE_MS = 100
const TRIES = 600

export async function moto(): Promise<Moto> {
  const home = await mkdtemp(join(tmpdir(), 'coffer-moto-'))
  const port = await freePort()
  const strict = { MOTO_ENABLE_AMI_VALIDATION: 'true', MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION: 'true' }
  const env = { PATH: process.env['PATH'], HOME: home, PYTHONDONTWRITEBYTECODE: '1', ...strict }
  const child = spawn(PROGRAM, ['-H', '127.0.0.1', '-p', String(port)], { cwd: home, env, stdio: 'ignore' })
  const direct = `http://127.0.0.1:${port}`
  await ready(direct, child)
  const calls: string[] = []
  const failures: Failure[] = []
  const server = createServer(inFront(direct, calls, failures)).listen(0, '127.0.0.1')
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
    heal: () => void failures.splice(0),
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

/** Hands calls on; a second one with a client token gets the first one's answer, or is refused if it asks for something else. */
function inFront(direct: string, calls: string[], failures: Failure[]) {
  const answers = new Map<string, { asked: string; text: string }>()
  return async (request: IncomingMessage, response: ServerResponse) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece)
    const body = Buffer.concat(pieces).toString()
    const asked = new URLSearchParams(body)
    const action = asked.get('Action') ?? ''
    calls.push(action)
    const failure = failures.find(one => one.action === action && one.times > 0)
    if (failure) failure.times -= 1
    if (failure?.how === 'unseen') return send(response, 200, `<${action}Response></${action}Response>`)
    if (failure && failure.how !== 'lost') return send(response, failure.how.status, fault(failure.how.code))
    const token = asked.get('ClientToken')
    asked.delete('ClientToken')
    const known = token === null ? undefined : answers.get(`${action}/${token}`)
    if (known && known.asked !== String(asked)) return send(response, 400, fault('IdempotentParameterMismatch'))
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `${request.headers.authorization}`,
    }
    const answer = known ?? (await fetch(direct, { method: 'POST', headers, body }))
    const text = 'asked' in answer ? answer.text : await answer.text()
    const status = 'asked' in answer ? 200 : answer.status
    if (token !== null && status === 200) answers.set(`${action}/${token}`, { asked: String(asked), text })
    if (failure) return request.socket.destroy()
    send(response, status, text)
  }
}

const fault = (code: string) =>
  `<Response><Errors><Error><Code>${code}</Code><Message>told so</Message></Error></Errors><RequestID>r</RequestID></Response>`

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/xml' }).end(text)
}

async function ready(endpoint: string, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < TRIES && child.exitCode === null; attempt++) {
    const answer = await fetch(`${endpoint}/moto-api/data.json`).catch(() => undefined)
    if (answer?.ok) return
    await realClock.sleep(PAUSE_MS)
  }
  child.kill()
  throw new Error('moto did not start')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return port
}

function portOf(server: Server): number {
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('no port')
  return address.port
}
