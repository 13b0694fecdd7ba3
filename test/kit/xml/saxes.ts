import { SaxesParser } from 'saxes'

/** An element as read by saxes: its name and namespace, its attributes, its children or its text. */
export interface SaxesElement {
  name: string
  uri: string
  attributes: Record<string, string>
  children: SaxesElement[]
  text: string
}

/** The root of a document, read by a strict parser that shares no code with ours. Throws for malformed documents. */
export function parseWithSaxes(document: string): SaxesElement {
  const parser = new SaxesParser({ xmlns: true })
  const top: SaxesElement = { name: '', uri: '', attributes: {}, children: [], text: '' }
  const open = [top]
  parser.on('error', error => {
    throw error
  })
  parser.on('opentag', ({ local, uri, attributes }) => {
    const withoutDeclarations = Object.values(attributes).filter(({ name }) => !name.startsWith('xmlns'))
    const element: SaxesElement = {
      name: local,
      uri,
      attributes: Object.fromEntries(withoutDeclarations.map(({ name, value }) => [name, value])),
      children: [],
      text: '',
    }
    open.at(-1)?.children.push(element)
    open.push(element)
  })
  const addText = (text: string) => {
    const element = open.at(-1)
    if (element) element.text += text
  }
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.on('closetag', () => {
    const element = open.pop()
    if (element && element.children.length > 0 && element.text.trim() === '') element.text = ''
  })
  parser.write(document).close()
  const [root] = top.children
  if (!root) throw new Error('no root element')
  return root
}
