import { join } from 'node:path'
import type { PostgresPrograms } from './postgres-programs.js'
import { type ProgramResult, runProgram } from './run-program.js'

/** The verdict of the real pg_verifybackup, run as ourselves. */
export function pgVerifyBackup(programs: PostgresPrograms, args: readonly string[]): Promise<ProgramResult> {
  return runProgram(join(programs.bin, 'pg_verifybackup'), args)
}
