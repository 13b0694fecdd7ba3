/** Files shown at the end of a run. */
const COUNT = 10

/** A jest reporter that lists the slowest test files at the end of a run, each with the seconds that it took. */
export default class SlowestReporter {
  #rootDir

  constructor({ rootDir }) {
    this.#rootDir = rootDir
  }

  onRunComplete(_contexts, { testResults }) {
    const slowest = testResults
      .map(({ testFilePath, perfStats }) => ({ path: testFilePath, ms: perfStats.runtime }))
      .sort((a, b) => b.ms - a.ms)
      .slice(0, COUNT)
    if (slowest.length === 0) return
    const lines = slowest.map(({ path, ms }) => `${(ms / 1_000).toFixed(1).padStart(7)} s  ${this.#nameOf(path)}\n`)
    // As jest's own reporter: stdout is for `--json`.
    process.stderr.write(`\nSlowest test files:\n${lines.join('')}`)
  }

  #nameOf(path) {
    return path.startsWith(`${this.#rootDir}/`) ? path.slice(this.#rootDir.length + 1) : path
  }
}
