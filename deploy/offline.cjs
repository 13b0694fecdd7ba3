/** `sls offline` has no usage plans. Given their keys as one list, it checks the key that the authorizer names. */
module.exports = class Offline {
  constructor({ service }) {
    const flatten = () => {
      const { apiGateway } = service.provider
      apiGateway.apiKeys = apiGateway.apiKeys.flatMap(plan => Object.values(plan)).flat()
    }
    this.hooks = { 'before:offline:start': flatten, 'before:offline:start:init': flatten }
  }
}
