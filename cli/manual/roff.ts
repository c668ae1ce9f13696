/** A section of a page. */
export function formatSection(heading: string, body: string): string {
  return `.SH "${heading}"\n${body}`
}

/** An entry of a list: a tag, which may have fonts, and an indented body of whole lines. */
export function formatEntry(tag: string, body: string): string {
  return `.TP\n${tag}\n${body}`
}

/** Paragraphs of text; lines that begin with four blanks are set as they are. */
export function formatParagraphs(text: string): string {
  const lines = text.trim().split('\n')
  let formatted = ''
  for (let at = 0; at < lines.length; at++) {
    const literal: string[] = []
    while (lines[at]?.startsWith('    ')) literal.push(lines[at++]?.slice(4) ?? '')
    if (literal.length > 0) formatted += formatLiteral(literal)
    const line = lines[at]
    if (line !== undefined) formatted += `${at === 0 ? '' : '.PP\n'}${formatText(line)}\n`
  }
  return formatted
}

/** Lines that are not filled: what is typed. */
export function formatLiteral(lines: readonly string[]): string {
  return `.RS 4\n.EX\n${lines.map((line) => protectLine(escapeRoff(line, true))).join('\n')}\n.EE\n.RE\n`
}

/** A text in which words in backquotes are bold, a sentence a line, as roff likes it. */
export function formatText(text: string): string {
  return formatInline(text)
    .split(/(?<=[.:;]) (?=[A-Z\\])/)
    .flatMap(wrapLine)
    .map(protectLine)
    .join('\n')
}

/** The same in one line. */
export function formatInline(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 1 ? bold(part) : escapeRoff(part, false)))
    .join('')
}

const MAX_LINE = 78

function wrapLine(line: string): string[] {
  const lines: string[] = []
  let current = ''
  for (const word of line.split(' ')) {
    if (current !== '' && current.length + word.length >= MAX_LINE) {
      lines.push(current)
      current = word
    } else {
      current += current === '' ? word : ` ${word}`
    }
  }
  return [...lines, current]
}

export function bold(text: string): string {
  return String.raw`\fB${escapeRoff(text, true)}\fR`
}

export function italic(text: string): string {
  return String.raw`\fI${escapeRoff(text, true)}\fR`
}

const special: Readonly<Record<string, string>> = {
  '\\': String.raw`\e`,
  '-': String.raw`\-`,
  "'": String.raw`\(aq`,
  '^': String.raw`\(ha`,
  '~': String.raw`\(ti`,
  '`': String.raw`\(ga`,
}

/** Characters that roff would set as others. In prose an apostrophe and a hyphen may be the typographic ones. */
function escapeRoff(text: string, isCode: boolean): string {
  return text.replaceAll(isCode ? /[\\'^~`-]/g : /[\\^~]/g, (character) => special[character] ?? character)
}

/** A line of text must not begin as a request does. */
function protectLine(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line
}
