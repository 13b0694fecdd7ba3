import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

/**
 * `node server.ts DATA ADDRESS PORT`: serves lines over TCP. `create DB`, `drop DB`, `list`, `set DB KEY VALUE` and
 * `get DB KEY` are answered by a line of JSON, `null` for what is not there.
 */
const [path = '', address = '', port = ''] = process.argv.slice(2)
const databases: Record<string, Record<string, string>> = JSON.parse(readFileSync(path, 'utf8'))

function change(work: () => void): true {
  work()
  writeFileSync(path, JSON.stringify(databases))
  return true
}

function answer(line: string): unknown {
  const [command, name = '', key = '', value = ''] = line.split(' ')
  const database = databases[name]
  if (command === 'list') return Object.keys(databases).sort()
  if (command === 'create') {
    return change(() => {
      databases[name] ??= {}
    })
  }
  if (!database) return null
  if (command === 'drop') return change(() => void delete databases[name])
  if (command === 'get') return database[key] ?? null
  return change(() => {
    database[key] = value
  })
}

const server = createServer(socket => {
  socket.on('error', () => socket.destroy())
  createInterface(socket).on('line', line => socket.write(`${JSON.stringify(answer(line) ?? null)}\n`))
})
server.listen(Number(port), address)
process.on('SIGTERM', () => process.exit(0))
