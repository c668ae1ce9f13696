/**
 * What a report can do when it is open: the table of problems by words and kind. Without it, all else is there. It makes text
 * only, never markup, and no more rows than a browser shows at ease.
 */
export const script = `
'use strict'
for (const form of document.querySelectorAll('form.filter')) {
  const [count, body] = [form.dataset.count, form.dataset.body].map((id) => document.getElementById(id))
  const problems = JSON.parse(document.getElementById(form.dataset.problems).textContent)
  const [words, kind] = [form.elements.words, form.elements.kind]
  const total = Number(form.dataset.total)
  const most = Number(form.dataset.most)
  const cell = (name, text, className) => {
    const element = document.createElement(name)
    element.textContent = text
    if (className) element.className = className
    return element
  }
  const show = () => {
    const wanted = words.value.toLowerCase().split(' ').filter(Boolean)
    const fits = ([problemKind, message, detail]) => {
      if (kind.value !== '' && kind.value !== problemKind) return false
      const text = (message + ' ' + (detail ?? '')).toLowerCase()
      return wanted.every((word) => text.includes(word))
    }
    const found = problems.filter(fits)
    const rows = found.slice(0, most).map(([problemKind, message, detail]) => {
      const row = document.createElement('tr')
      const what = cell('td', message)
      if (detail) what.append(cell('span', detail, 'detail'))
      row.append(cell('td', problemKind, 'kind'), what)
      return row
    })
    body.replaceChildren(...rows)
    const shown = found.length > most ? ', the first ' + most + ' shown' : ''
    const outside = total > problems.length ? '; ' + (total - problems.length) + ' more are not in this page' : ''
    count.textContent = found.length + ' of ' + total + ' problems' + shown + outside
  }
  let timer
  const later = () => {
    clearTimeout(timer)
    timer = setTimeout(show, 150)
  }
  form.addEventListener('input', later)
  form.addEventListener('submit', (event) => event.preventDefault())
  form.hidden = false
  show()
}
`
