/** An element of a store's answer: its own text, or what is in it. */
export interface XmlElement {
  readonly name: string
  readonly text: string
  readonly children: readonly XmlElement[]
}

/** Deeper than any answer of a store. */
const MAX_DEPTH = 16

/**
 * Reads the XML of a store's answer: elements and text. Attributes are passed over, and so is what stands before the root.
 *
 * @returns the root; `undefined` when it is no such XML, or cut off
 */
export function readXml(xml: string): XmlElement | undefined {
  const top: OpenElement = { name: '', text: '', children: [] }
  const open = [top]
  let at = 0
  for (;;) {
    const parent = open.at(-1)
    if (parent === undefined) return undefined
    const start = xml.indexOf('<', at)
    if (start === -1) break
    if (start > at) parent.text += xml.slice(at, start)
    const end = xml.indexOf('>', start)
    if (end === -1) return undefined
    const tag = xml.slice(start + 1, end)
    at = end + 1
    if (tag.startsWith('?')) continue
    // Comments, CDATA and DTDs: no store has any, and what they could do is no good.
    if (tag.startsWith('!')) return undefined
    if (tag.startsWith('/')) {
      open.pop()
      const outer = open.at(-1)
      if (outer === undefined || parent.name !== tag.slice(1).trimEnd()) return undefined
      parent.text = unescapeXml(parent.text)
      outer.children.push(parent)
      continue
    }
    const isEmpty = tag.endsWith('/')
    const element: OpenElement = { name: nameIn(isEmpty ? tag.slice(0, -1) : tag), text: '', children: [] }
    if (isEmpty) parent.children.push(element)
    else if (open.length > MAX_DEPTH) return undefined
    else open.push(element)
  }
  return open.length === 1 && top.children.length === 1 ? top.children[0] : undefined
}

interface OpenElement extends XmlElement {
  text: string
  readonly children: XmlElement[]
}

/** Without its attributes. */
function nameIn(tag: string): string {
  const end = tag.search(/\s/)
  return end === -1 ? tag : tag.slice(0, end)
}

/** The text of the first child of that name. */
export function textOf(element: XmlElement | undefined, name: string): string | undefined {
  return element?.children.find((child) => child.name === name)?.text
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

function unescapeXml(text: string): string {
  if (!text.includes('&')) return text
  return text.replaceAll(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,4}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[String(name)] ?? whole
    const code = decimal === undefined ? Number.parseInt(String(hex), 16) : Number(decimal)
    return code <= 0x10_ff_ff ? String.fromCodePoint(code) : whole
  })
}
