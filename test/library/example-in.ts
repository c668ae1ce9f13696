import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const packageDirectory: string = fileURLToPath(new URL('../../', import.meta.url))

/** The code of the only example in a source file. It is JavaScript as well. */
export function exampleIn(sourceFile: string): string {
  const source = readFileSync(join(packageDirectory, sourceFile), 'utf8')
  const [found, ...others] = source.matchAll(/^ \* @example\n \* ```ts\n(.*?)^ \* ```$/gms)
  if (found === undefined || others.length > 0) throw new Error(`"${sourceFile}" must have one example`)
  return (found[1] ?? '').replaceAll(/^ \* ?/gm, '')
}
