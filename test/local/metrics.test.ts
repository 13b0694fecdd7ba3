import { describe, expect, it } from '@jest/globals'
import { family, registry } from '../../local/metrics.ts'

describe('the metrics registry', () => {
  it('writes counters and histograms in Prometheus’ text format', () => {
    const metrics = registry()
    metrics.count('coffer_requests_total', { method: 'GET', status: 200 })
    metrics.count('coffer_requests_total', { method: 'GET', status: 200 })
    metrics.count('coffer_requests_total', { method: 'GET', status: 404 }, 3)
    metrics.observe('coffer_request_seconds', { method: 'GET' }, 0.0025)
    metrics.observe('coffer_request_seconds', { method: 'GET' }, 0.3)
    metrics.observe('coffer_request_seconds', { method: 'GET' }, 99.5)
    const lines = metrics.text().split('\n')
    expect(lines.slice(0, 4)).toEqual([
      '# HELP coffer_requests_total Requests by method, route and status.',
      '# TYPE coffer_requests_total counter',
      'coffer_requests_total{method="GET",status="200"} 2',
      'coffer_requests_total{method="GET",status="404"} 3',
    ])
    expect(lines).toContain('# TYPE coffer_request_seconds histogram')
    const bucket = (le: string) =>
      lines.find(line => line.startsWith(`coffer_request_seconds_bucket{method="GET",le="${le}"}`))?.split(' ')[1]
    expect(['0.001', '0.0025', '0.25', '0.5', '30', '+Inf'].map(bucket)).toEqual(['0', '1', '1', '2', '2', '3'])
    expect(lines).toContain('coffer_request_seconds_sum{method="GET"} 99.8025')
    expect(lines).toContain('coffer_request_seconds_count{method="GET"} 3')
  })

  it('escapes quotes, backslashes and newlines in labels', () => {
    expect(family('x', 'gauge', [{ labels: { a: 'q"\\\n' }, value: 1 }])).toContain('x{a="q\\"\\\\\\n"} 1\n')
  })
})
