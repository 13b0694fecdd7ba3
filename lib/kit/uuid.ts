/** An id as we make them. What is none need not be looked up, and not every store would take it as a key. */
export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
