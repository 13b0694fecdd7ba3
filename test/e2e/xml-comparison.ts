import type { SaxesElement } from '../kit/xml/saxes.ts'

/** The children of an element with that name. */
export const childrenNamed = ({ children }: SaxesElement, name: string) =>
  children.filter(element => element.name === name)

/** Where a document and a JSON value differ; empty if they describe the same. */
function differences(value: unknown, element: SaxesElement, path = element.name): string[] {
  if (Array.isArray(value)) {
    if (value.length !== element.children.length) return [`${path}: ${value.length} items`]
    return value.flatMap((item, index) =>
      differences(item, element.children[index] as SaxesElement, `${path}[${index}]`),
    )
  }
  if (typeof value !== 'object' || value === null) return textDifference(value, element.text, path)
  const names = [...Object.keys(element.attributes), ...element.children.map(({ name }) => name)]
  const keys = Object.keys(value)
  if (names.toSorted().join() !== keys.toSorted().join()) return [`${path}: ${names} for ${keys}`]
  return Object.entries(value).flatMap(([key, item]) => {
    const [match] = childrenNamed(element, key)
    return match
      ? differences(item, match, `${path}.${key}`)
      : textDifference(item, element.attributes[key], `${path}.${key}`)
  })
}

/** What no XML document can hold; other test files send such characters, and the audit has them. */
const FORBIDDEN = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu

function textDifference(value: unknown, text: string | undefined, path: string): string[] {
  const python = value === null ? 'None' : value === true ? 'True' : value === false ? 'False' : String(value)
  const expected = python.replace(FORBIDDEN, '\uFFFD')
  return expected === text ? [] : [`${path}: ${text} for ${expected}`]
}

/** The same for a complete response: in XML the links of a page are a child of the list. */
export function bodyDifferences(body: Record<string, unknown>, root: SaxesElement): string[] {
  const { links, ...rest } = body
  const [[key, value] = ['', undefined]] = Object.entries(rest)
  if (Array.isArray(links) && Object.keys(rest).join() === `${key},${key}_links`) {
    const rows = { ...root, children: root.children.slice(0, -1) }
    return [...differences(value, rows), ...differences(links, root.children.at(-1) as SaxesElement)]
  }
  if (Object.keys(body).length === 1) return root.name === key ? differences(value, root) : [`the root is ${root.name}`]
  return differences(body, root)
}
