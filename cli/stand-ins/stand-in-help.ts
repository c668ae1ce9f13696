import { formatOptions } from '../help.js'
import type { OptionTable } from '../option-table.js'
import type { Peer } from './peers.js'

/** As wide as the help of PostgreSQL's programs may be is 95 columns. @see src/test/perl/PostgreSQL/Test/Utils.pm */
export async function formatStandInHelp(peer: Peer, name: string, table: OptionTable): Promise<string> {
  const options = await formatOptions(table, 'General options:')
  const variables = Object.entries(peer.variables).map(
    ([variable, option]) => `  ${variable.padEnd(26)} --${option} of "pbmanifest ${peer.command.name}"`,
  )
  return `${name} ${peer.does}
This is pbmanifest, which stands in for ${peer.name} of PostgreSQL.

Usage:
  ${name} ${peer.synopsis}

${options}

Environment:
${variables.join('\n')}

Manual: man pbmanifest-${peer.command.name}`
}
