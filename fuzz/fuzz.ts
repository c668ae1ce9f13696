import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { fuzzAgent } from './fuzz-agent.js'
import { fuzzClient } from './fuzz-client.js'
import { Mutator } from '../test/transfer/wire/server/mutator.js'

/**
 * What is fuzzed, and by what: each sends for so long, and throws when something was wrong.
 *
 * @returns what it did, in a line
 */
type Fuzz = (mutator: Mutator, milliseconds: number) => Promise<string>

const subjects: Readonly<Record<string, Fuzz>> = { agent: fuzzAgent, client: fuzzClient }

const usage = `npm run fuzz -- [--seconds=600] [--seed=N] [SUBJECT...]
  --seconds  for all subjects together
  --seed     as an earlier run printed it: the same messages in the same order, as far as time lets them be the same
  subjects: ${Object.keys(subjects).join(' ')}
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: 'boolean' },
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
  },
})

const names = positionals.length === 0 ? Object.keys(subjects) : positionals
const unknown = names.filter((name) => !(name in subjects))
if (values.help === true || unknown.length > 0) {
  process.stdout.write(usage)
  process.exit(values.help === true ? 0 : 2)
}

for (const name of names) {
  const seed = Number(values.seed)
  process.stdout.write(`fuzz of ${name}: --seed=${seed}\n`)
  const milliseconds = (Number(values.seconds) * 1000) / names.length
  try {
    process.stdout.write(
      `fuzz of ${name}: ${(await subjects[name]?.(new Mutator(seed), milliseconds)) ?? ''}\n`,
    )
  } catch (error) {
    process.stdout.write(
      `fuzz of ${name} failed with --seed=${seed}\n${String(error instanceof Error ? error.stack : error)}\n`,
    )
    process.exitCode = 1
  }
}
