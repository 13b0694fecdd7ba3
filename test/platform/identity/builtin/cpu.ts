/** CPU time of all threads in milliseconds: a hash takes about 30, however busy the machine is. */
export async function cpuMs(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
