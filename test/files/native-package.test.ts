import '../helpers/servers-only.js'
import { cpSync, mkdirSync, readdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { findPackage } from '../../src/files/native-package.js'
import { runProgram } from '../helpers/run-program.js'
import { createScratchDirectory } from '../helpers/scratch-directory.js'

const project = dirname(dirname(import.meta.dirname))
const scratch = createScratchDirectory()
/** A copy of our package, whose dependencies are here but for one. */
const copy = join(scratch.path, 'lib/node_modules/pbmanifest')
/** What another user could leave for whoever runs us as root. */
const home = join(scratch.path, 'home')
const trap = join(home, 'trap.cjs')

beforeAll(() => {
  mkdirSync(join(copy, 'node_modules/@node-rs'), { recursive: true })
  for (const name of ['dist', 'schemas', 'package.json'])
    cpSync(join(project, name), join(copy, name), { recursive: true })
  const modules = join(project, 'node_modules')
  for (const name of readdirSync(modules)) {
    if (name !== 'aws-crt' && name !== '@node-rs')
      symlinkSync(join(modules, name), join(copy, 'node_modules', name))
  }
  // Its binary is in a package beside it, which is left out.
  cpSync(join(modules, '@node-rs/crc32'), join(copy, 'node_modules/@node-rs/crc32'), { recursive: true })
  mkdirSync(join(home, '.node_modules'), { recursive: true })
  for (const name of ['aws-crt', '@node-rs'])
    symlinkSync(join(modules, name), join(home, '.node_modules', name))
  writeFileSync(trap, `require('node:fs').writeFileSync(${JSON.stringify(join(home, 'sprung'))}, '')`)
})

const hostile = {
  HOME: home,
  NODE_PATH: join(home, '.node_modules'),
  NAPI_RS_NATIVE_LIBRARY_PATH: trap,
}

async function engines(env: Readonly<Record<string, string>>): Promise<string> {
  const args = [join(copy, 'dist/program/main.js'), '--version', '--verbose']
  const { status, stdout, stderr } = await runProgram(process.execPath, args, { env })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

describe('native code', () => {
  test('is not taken from $HOME/.node_modules or NODE_PATH', async () => {
    expect(await engines(hostile)).toContain('CRC32C: hash-wasm\n')
  })

  test('is not taken from where NAPI_RS_NATIVE_LIBRARY_PATH says', async () => {
    const script = `import { loadUnlz4 } from ${JSON.stringify(join(copy, 'dist/src/files/compression/unlz4.js'))}; await loadUnlz4()`
    const { status } = await runProgram(process.execPath, ['--input-type=module', '-e', script], {
      env: hostile,
    })
    expect(status).toBe(0)
    expect(readdirSync(home)).not.toContain('sprung')
  })

  test('is taken from beside the package, where npm install puts it', async () => {
    symlinkSync(join(project, 'node_modules/aws-crt'), join(dirname(copy), 'aws-crt'))
    expect(await engines({})).toContain('CRC32C: aws-crt\n')
  })
})

test('a package is found in the nearest node_modules above, or not', () => {
  const vitest = realpathSync(join(project, 'node_modules/vitest'))
  expect(findPackage('vitest')).toBe(vitest)
  expect(findPackage('vitest', join(copy, 'dist/src/x.js'))).toBe(vitest)
  expect(findPackage('no-such-package')).toBeUndefined()
})
