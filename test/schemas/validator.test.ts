import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { type SchemaName, validatorOf } from '../../src/schemas/validator.js'

const directory = new URL('../../schemas/', import.meta.url)
const names = readdirSync(directory)
const schemas = names.map(
  (name) => JSON.parse(readFileSync(new URL(name, directory), 'utf8')) as { readonly $id: string },
)

test.each([{}, { strict: true }])('ajv has nothing to say of the schemas with the options %j', (options) => {
  const said: string[] = []
  const say = (...words: unknown[]): number => said.push(words.join(' '))
  const ajv = new Ajv2020({ ...options, schemas, logger: { log: say, warn: say, error: say } })
  for (const { $id } of schemas) ajv.getSchema($id)
  expect(said).toEqual([])
})

test('the page of formats names each schema', () => {
  const page = readFileSync(new URL('../../docs/formats.md', import.meta.url), 'utf8')
  expect(names.filter((name) => !page.includes(`../schemas/${name})`))).toEqual([])
})

test.each(names)('%s is known to the program by its name, and its address ends in it', (name) => {
  const schema = schemas[names.indexOf(name)]
  expect(schema?.$id).toBe(`https://pbmanifest.invalid/schemas/${name}`)
  // None of them is of a document without keys.
  expect(validatorOf(name.replace(/\.schema\.json$/, '') as SchemaName)({})).toMatch(/required|additional/)
})
