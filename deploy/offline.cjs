/** `sls offline` knows no usage plans: it gets their keys in one list, and then checks the one that the authorizer names. */
module.exports = class Offline {
  constructor({ service }) {
    const flat = () => {
      const { apiGateway } = service.provider
      apiGateway.apiKeys = apiGateway.apiKeys.flatMap(plan => Object.values(plan)).flat()
    }
    this.hooks = { 'before:offline:start': flat, 'before:offline:start:init': flat }
  }
}
