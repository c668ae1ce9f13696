import { type Peer, type PeerOption, ourOption } from './peers.js'

/** The first major version whose programs we compare with. */
const FIRST = 15

/** The last one, as it is known. */
const LAST = 19

/**
 * The options of a peer against ours, as a table in Markdown. Nothing of the program needs it; `npm run options` puts it into
 * docs/replicas.md.
 */
export function formatOptionPage(peer: Peer): string {
  const heading = `| \`${peer.name}\` | versions | \`pbmanifest ${peer.command.name}\` |`
  return [heading, '| --- | --- | --- |', ...peer.options.map((option) => formatRow(peer, option))].join('\n')
}

function formatRow(peer: Peer, option: PeerOption): string {
  const { letter, name, since = FIRST, note } = option
  const spelled = letter === undefined ? `\`--${name}\`` : `\`-${letter}\`, \`--${name}\``
  const versions = since === LAST ? String(LAST) : `${since} to ${LAST}`
  const isOurs = ourOption(peer, option) !== undefined
  return `| ${spelled} | ${versions} | ${isOurs ? 'yes' : 'no'}${note === undefined ? '' : `: ${note}`} |`
}
