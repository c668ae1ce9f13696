import { assert, property, string } from 'fast-check'
import { expect, test } from 'vitest'
import { jsonMarkup, Markup, markup, shown } from '../../src/renderings/html/markup.js'

/** What a browser makes of the text of an element or of an attribute. */
function read(text: string): string {
  const characters: Record<string, string> = { lt: '<', gt: '>', quot: '"', '#39': "'", amp: '&' }
  return text.replaceAll(/&([a-z]+|#39);/g, (_, name: string) => characters[name] ?? '')
}

test('whatever a value holds, it stays within its place, and is read as it is shown', () => {
  assert(
    property(string({ unit: 'binary' }), (value) => {
      const { text } = markup`<p title="${value}">${value}</p>`
      const [, attribute = '', content = ''] = /^<p title="([^"<>']*)">([^"<>']*)<\/p>$/.exec(text) ?? []
      expect(read(attribute)).toBe(shown(value))
      expect(read(content)).toBe(shown(value))
    }),
  )
})

test('only what was made here is taken for markup', () => {
  const inner = markup`<b>${'<i>'}</b>`
  expect(markup`${inner}${[inner, '<']}${false}${undefined}${3}`.text).toBe(
    '<b>&lt;i&gt;</b><b>&lt;i&gt;</b>&lt;3',
  )
  expect(markup`${new Markup('<hr>')}`.text).toBe('<hr>')
})

test('data for a script cannot end its element, and means what it meant', () => {
  assert(
    property(string(), (value) => {
      const { text } = jsonMarkup([`${value}</script><!--`])
      expect(text).not.toContain('<')
      expect(JSON.parse(text)).toEqual([`${value}</script><!--`])
    }),
  )
})
