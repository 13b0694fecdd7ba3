import { Client, type ClientConfig } from 'pg'

/** The requests that ask for a password, or for what serves as one. */
const REFUSED = ['authenticationCleartextPassword', 'authenticationMD5Password']

/** The server asks for a password in a form that is refused, or does not show that it knows it. */
class UnprovenServer extends Error {
  override name = 'UnprovenServer'
}

/**
 * A client that authenticates by SASL only, which does not send the password. With `mustProve` it also refuses a server
 * that asks for nothing: only by SASL a server shows that it knows the password.
 */
export class SaslClient extends Client {
  constructor(config?: string | ClientConfig, { mustProve = false } = {}) {
    super(config)
    const { connection } = this
    // The base class leaves the socket open after an error of its own, and would still take it for connected.
    connection.on('error', () => {
      connection.removeAllListeners('readyForQuery')
      connection.stream.destroy()
    })
    // By then the base class has its listeners, and nothing was received.
    connection.once('connect', () => this.#refuseOthers(mustProve))
  }

  #refuseOthers(mustProve: boolean): void {
    const { connection } = this
    const refuse = (reason: string) => connection.emit('error', new UnprovenServer(reason))
    for (const event of REFUSED) {
      // The base class's listener would answer.
      connection.removeAllListeners(event)
      connection.on(event, () => refuse('the server asks for the password in a form that is refused'))
    }
    let isProven = false
    connection.on('authenticationSASLFinal', () => {
      isProven = true
    })
    connection.on('authenticationOk', () => {
      if (mustProve && !isProven) refuse('the server does not show that it knows the password')
    })
  }
}
