/** The values of `--color`. */
export const colorChoices = ['auto', 'always', 'never'] as const

export type ColorChoice = (typeof colorChoices)[number]

/**
 * Whether messages are coloured: what the flag says, else PG_COLOR, else NO_COLOR, else FORCE_COLOR, else whether
 * they go to a terminal.
 *
 * @see https://www.postgresql.org/docs/current/app-pgverifybackup.html (PG_COLOR), https://no-color.org
 */
export function wantsColor(
  flag: ColorChoice | undefined,
  env: Readonly<NodeJS.ProcessEnv>,
  isTerminal: boolean,
): boolean {
  const choice = flag ?? colorChoices.find((choice) => choice === env['PG_COLOR'])
  if (choice !== undefined) return choice === 'always' || (choice === 'auto' && isTerminal)
  if (env['NO_COLOR']) return false
  const force = env['FORCE_COLOR']
  if (force !== undefined) return force !== '0' && force !== 'false'
  return isTerminal
}
