import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import standalone from 'ajv/dist/standalone/index.js'
import { build } from 'rolldown'

// Has ajv make a function of each schema in schemas/, dist/validators/NAME.cjs: to load ajv and to compile a schema takes
// longer than to verify a small backup. Each file stands alone, since a program prints documents of one schema.

const suffix = '.schema.json'
const names = readdirSync('schemas').map((file) => file.slice(0, -suffix.length))
const schemas = names.map((name) => JSON.parse(readFileSync(`schemas/${name}${suffix}`, 'utf8')))

// What ajv would warn of is a fault of the schema.
const fail = (...words) => {
  throw new Error(words.join(' '))
}
const logger = { log: fail, warn: fail, error: fail }

/** The code of a validator as a module. What several places refer to is one function, not one in each place. */
function compile({ $id }) {
  const ajv = new Ajv2020({ schemas, logger, inlineRefs: false, code: { source: true, esm: true } })
  return standalone.default(ajv, ajv.getSchema($id))
}

const codes = new Map(names.map((name, index) => [name, compile(schemas[index])]))

mkdirSync('dist/validators')
await build({
  platform: 'node',
  input: Object.fromEntries(names.map((name) => [name, name])),
  plugins: [
    {
      name: 'validators',
      resolveId: (name) => (codes.has(name) ? name : null),
      load: (name) => codes.get(name) ?? null,
    },
  ],
  output: {
    dir: 'dist/validators',
    format: 'cjs',
    exports: 'named',
    entryFileNames: '[name].cjs',
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  },
})
