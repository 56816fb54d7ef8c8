// A small OpenAPI 3.1 document with every construct that the viewer draws.

const ref = (name) => ({ $ref: `#/components/schemas/${name}` });
const json = (schema) => ({ 'application/json': { schema } });
const refused = (description) => ({ description, content: json(ref('Error')) });
const topicName = {
  name: 'topic',
  in: 'path',
  required: true,
  description: 'The topic’s name.',
  schema: { type: 'string', pattern: '^[A-Za-z0-9._-]{1,249}$' },
};

export const openapi = {
  openapi: '3.1.0',
  info: {
    title: 'Mainstem tenant API',
    version: '0.1.0',
    description: 'Publish, read and follow records over HTTP. Every error has one shape.',
  },
  tags: [
    { name: 'events', description: 'Publish records.' },
    { name: 'topics', description: 'Configure topics and read what they hold.' },
  ],
  paths: {
    '/v1/events': {
      post: {
        tags: ['events'],
        operationId: 'publish',
        summary: 'Publish records',
        description: 'One record, an array, or NDJSON. Answers the place of each record.',
        parameters: [
          {
            name: 'Idempotency-Key',
            in: 'header',
            description: 'The same key answers the first result again.',
            schema: { type: 'string', maxLength: 255 },
          },
        ],
        requestBody: { required: true, content: json(ref('Publish')) },
        responses: {
          200: { description: 'Stored; an array is answered by an array.', content: json(ref('Published')) },
          400: refused('The request is malformed; `details.field` names the place.'),
          429: refused('The rate is used up; wait as told.'),
        },
      },
    },
    '/v1/topics/{topic}': {
      parameters: [topicName],
      get: {
        tags: ['topics'],
        summary: 'Read a topic’s configuration',
        responses: { 200: { description: 'The topic.', content: json(ref('Topic')) }, 404: refused('Unknown.') },
      },
      put: {
        tags: ['topics'],
        summary: 'Create or change a topic',
        requestBody: { required: true, content: json(ref('Topic')) },
        responses: { 200: { description: 'Changed.', content: json(ref('Topic')) }, 201: { description: 'Created.' } },
      },
      delete: { tags: ['topics'], summary: 'Delete a topic', responses: { 204: { description: 'Deleted.' } } },
    },
    '/v1/topics/{topic}/records': {
      get: {
        tags: ['topics'],
        summary: 'Read records',
        description: 'With `wait` this is the long poll.',
        parameters: [
          topicName,
          { name: 'from', in: 'query', schema: { type: 'string' }, description: 'Where to start.' },
          { name: 'limit', in: 'query', schema: { type: 'integer', maximum: 10000, default: 100 } },
        ],
        responses: { 200: { description: 'Records and the next cursor.' } },
      },
    },
  },
  components: {
    schemas: {
      Publish: {
        type: 'object',
        required: ['topic'],
        properties: {
          topic: { type: 'string', description: 'Where the record goes.' },
          key: { type: 'string', description: 'Picks the partition; levels are divided by `/`.' },
          data: { description: 'Any JSON value.' },
          data_base64: { type: 'string', contentEncoding: 'base64' },
          headers: { type: 'object', additionalProperties: { type: 'string' } },
          id: { type: 'string', description: 'Idempotency id.' },
        },
      },
      Published: {
        type: 'object',
        required: ['topic', 'partition', 'offset', 'id', 'timestamp'],
        properties: {
          topic: { type: 'string' },
          partition: { type: 'integer' },
          offset: { type: 'integer', format: 'int64' },
          id: { type: 'string' },
          timestamp: { type: 'integer', description: 'Milliseconds since the Unix epoch.' },
          duplicate: { type: 'boolean' },
        },
      },
      Retention: {
        type: 'object',
        properties: {
          age_ms_max: { type: ['integer', 'null'] },
          bytes_max: { type: ['integer', 'null'] },
          records_max: { type: ['integer', 'null'] },
        },
      },
      Topic: {
        type: 'object',
        properties: {
          partitions: { type: 'integer', minimum: 1, maximum: 1024, default: 1 },
          durability: { type: 'string', enum: ['durable', 'relaxed', 'ephemeral'] },
          retention: { oneOf: [ref('Retention'), { type: 'null' }] },
          cleanup: { type: 'string', enum: ['delete', 'compact', 'compact_delete'] },
          tombstone_ms: { type: 'integer', default: 86400000 },
        },
      },
      Error: {
        type: 'object',
        properties: {
          error: {
            type: 'object',
            properties: {
              code: { type: 'string' },
              message: { type: 'string' },
              details: { type: 'object' },
              request_id: { type: 'string' },
            },
          },
        },
      },
    },
    securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
  },
};
