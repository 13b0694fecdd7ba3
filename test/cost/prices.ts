/**
 * List prices of us-east-1 in dollars in 2025, without free tiers and discounts, each with the AWS page it comes from.
 * Check that page before relying on a figure, and update it here.
 */
export const AS_OF = '2025'

const MILLION = 1_000_000

export const PRICES = {
  sqsRequest: {
    per: 0.4 / MILLION,
    what: 'SQS, a million requests of a standard queue',
    price: 0.4,
    page: 'Amazon SQS pricing',
  },
  lambdaRequest: { per: 0.2 / MILLION, what: 'Lambda, a million requests', price: 0.2, page: 'AWS Lambda pricing' },
  lambdaGbSecond: {
    per: 13.3334 / MILLION,
    what: 'Lambda, a million GB-seconds on arm64',
    price: 13.3334,
    page: 'AWS Lambda pricing',
  },
  readUnit: {
    per: 0.125 / MILLION,
    what: 'DynamoDB on demand, a million read request units',
    price: 0.125,
    page: 'Amazon DynamoDB pricing for on-demand capacity',
  },
  writeUnit: {
    per: 0.625 / MILLION,
    what: 'DynamoDB on demand, a million write request units',
    price: 0.625,
    page: 'Amazon DynamoDB pricing for on-demand capacity',
  },
  apiRequest: {
    per: 3.5 / MILLION,
    what: 'API Gateway, a million REST requests',
    price: 3.5,
    page: 'Amazon API Gateway pricing',
  },
  logGb: { per: 0.5, what: 'CloudWatch Logs, a GB taken in', price: 0.5, page: 'Amazon CloudWatch pricing' },
  alarm: {
    per: 0.1,
    what: 'CloudWatch, an alarm of standard resolution a month',
    price: 0.1,
    page: 'Amazon CloudWatch pricing',
  },
} as const

/** A month of 730 hours. */
export const MONTH_S = 730 * 3_600
