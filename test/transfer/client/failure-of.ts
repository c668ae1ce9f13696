import type { ProgramResult } from '../../helpers/run-program.js'

/** The exit status, and the one error that there is to be; nothing on standard output, and no stack. */
export function failureOf({ status, stdout, stderr }: ProgramResult): {
  readonly status: number | null
  readonly error: string
} {
  const errors = stderr.split('\n').filter((line) => line.startsWith('pbmanifest: error: '))
  const [error = ''] = errors
  if (errors.length !== 1 || stdout !== '' || /\n\s+at |bug of pbmanifest/.test(stderr)) {
    throw new Error(`not one clean error: ${stdout}${stderr}`)
  }
  return { status, error }
}
