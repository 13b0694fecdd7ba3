import { startSharedCloud } from './shared-cloud.ts'

/** Jest calls this once before the tests of the project `e2e-shared`, in its own process. */
export default (_global: unknown, project: { testMatch: string[] }) => startSharedCloud(project.testMatch)
