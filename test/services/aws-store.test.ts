import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll } from '@jest/globals'
import { dynamodbStore } from '../../lib/platform/store/dynamodb.ts'
import { TABLE } from '../../lib/platform/store/dynamodb-table.ts'
import { systemRandom } from '../../lib/wiring/system.ts'
import { storeCases } from '../cases/store.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { type Ministack, ministack } from './ministack.ts'

let aws: Ministack
let count = 0
beforeAll(async () => {
  aws = await ministack()
})
afterAll(() => aws?.stop())

/** It stands still unless moved on; sleepers sleep all the same. */
function movingClock() {
  let now = realClock.now()
  return {
    now: () => now,
    sleep: realClock.sleep,
    advance: async (ms: number) => {
      now += ms
    },
  }
}

storeCases(
  'DynamoDB store on ministack',
  async () => {
    const clock = movingClock()
    const { connection } = aws
    const client = new DynamoDBClient(connection)
    const table = `coffer-${++count}`
    const { TimeToLiveSpecification: _, AttributeDefinitions, KeySchema, BillingMode } = TABLE
    const keys = { AttributeDefinitions: [...AttributeDefinitions], KeySchema: [...KeySchema] }
    await client.send(new CreateTableCommand({ TableName: table, BillingMode, ...keys }))
    client.destroy()
    const store = dynamodbStore({ clock, random: systemRandom, connection, table })
    return { store, clock, advance: clock.advance, close: store.close }
  },
  30_000,
)
