/** The form of every id. Other strings need no lookup, and not every store would accept them as keys. */
export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
