import { displayPathname } from '../../../src/files/pathname.js'
import type { CombinedFile } from '../../../src/combine/options.js'
import type { CombineReport } from '../../../src/combine/report.js'
import { formatBytes, formatCount, formatSeconds } from '../../../src/renderings/format.js'
import type { Messages } from '../../messages.js'
import type { CommandContext } from '../command.js'

/** Says from where a file comes, in words like those of `pg_combinebackup --debug`. */
export function printFile(messages: Messages, file: CombinedFile, isDryRun: boolean): void {
  const name = `"${displayPathname(file.pathname)}"`
  const would = isDryRun ? 'would be ' : ''
  if (file.blocks === undefined) {
    messages.note(`${name}: ${would}copied from backup at "${file.directory}"`)
    return
  }
  const parts = file.blocks.map(
    ({ directory, blocks }) => `${formatCount(blocks, 'block')} from backup at "${directory}"`,
  )
  if (file.zeroBlocks > 0) parts.push(formatCount(file.zeroBlocks, 'zero block'))
  messages.note(`${name}: ${would}reconstructed, ${parts.join(', ') || 'empty'}`)
}

/** Says what the combination came to, when problems and warnings were said. */
export function printResult(
  { print, messages }: CommandContext,
  report: CombineReport,
  isQuiet: boolean,
): void {
  const { verdict, problems, chainProblems, notChecked } = report
  if (verdict === 'failed') {
    const count = formatCount(problems.length + chainProblems.length, 'problem')
    messages.note(`backups were not combined: ${count}`)
    return
  }
  if (isQuiet) return
  for (const { why } of notChecked) messages.note(`not checked: ${why}`)
  if (report.copyMethod === 'link') {
    messages.warning(
      '--link mode was used; any modifications to the output directory might destructively modify input directories',
    )
  }
  print(verdict === 'combined' ? describeResult(report) : describePlan(report))
}

function describeResult(report: CombineReport): string {
  const { directories, output, wholeFiles, reconstructedFiles, bytes, seconds } = report
  const files = `${formatCount(wholeFiles + reconstructedFiles, 'file')} (${reconstructedFiles} reconstructed), ${formatBytes(bytes)}`
  return `combined ${formatCount(directories.length, 'backup')} into "${displayPathname(output)}": ${files} in ${formatSeconds(seconds.total)}`
}

function describePlan({ directories, wholeFiles, reconstructedFiles }: CombineReport): string {
  const files = `${formatCount(wholeFiles + reconstructedFiles, 'file')} (${reconstructedFiles} reconstructed)`
  return `${formatCount(directories.length, 'backup')} can be combined: ${files}; nothing was written, and no file compared with its manifest`
}
