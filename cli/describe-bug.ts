import { bugAddress } from './package-info.js'

/** What is said about an exception that nobody meant: one line, and the stack when it is asked for. */
export function describeBug(error: unknown, wantsStack: boolean): string {
  const what = error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${String(error)}`
  const line = `pbmanifest: error: this is a bug of pbmanifest, please report it at ${bugAddress}: ${what}`
  const oneLine = line.replaceAll(/\s+/g, ' ')
  return wantsStack && error instanceof Error ? `${oneLine}\n${error.stack ?? ''}` : oneLine
}
