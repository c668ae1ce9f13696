declare module 'parse-prometheus-text-format' {
  interface MetricFamily {
    readonly name: string
    readonly help: string
    readonly type: string
    readonly metrics: readonly { readonly value: string; readonly labels?: Record<string, string> }[]
  }
  /** @throws for what Prometheus would not read */
  function parsePrometheusTextFormat(text: string): MetricFamily[]
  export default parsePrometheusTextFormat
}
