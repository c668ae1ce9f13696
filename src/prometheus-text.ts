import { displayText } from './files/display-text.js'

/** One metric. Names get the prefix `pbmanifest_`. */
export interface Metric {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  /** One line. */
  readonly help: string
  readonly samples: readonly Sample[]
}

/** A value, and what it is of. */
interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/**
 * Metrics as Prometheus reads them. Of one without samples nothing is said.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function formatMetrics(metrics: readonly Metric[]): string {
  return metrics.map((metric) => formatMetric(metric)).join('')
}

function formatMetric({ name, type, help, samples }: Metric): string {
  if (samples.length === 0) return ''
  const fullName = `pbmanifest_${name}`
  const lines = samples.map(({ labels, value }) => `${fullName}${formatLabels(labels)} ${value}\n`)
  return `# HELP ${fullName} ${help}\n# TYPE ${fullName} ${type}\n${lines.join('')}`
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeValue(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

/** A name may hold anything, also what is no text at all: what cannot be seen is written out, and so no line breaks are left. */
function escapeValue(value: string): string {
  return displayText(value).toWellFormed().replaceAll('\\', '\\\\').replaceAll('"', '\\"')
}
