// Reads an OpenAPI 3.1 document into what the viewer draws. Pure, and lenient: a part that is
// missing or odd is left out, never fatal.

export interface Operation {
  id: string;
  method: string;
  path: string;
  tag: string;
  summary: string;
  description: string;
  parameters: Parameter[];
  body?: { required: 'required' | 'optional'; media: Media[] };
  answers: { status: string; description: string; media: Media[] }[];
}

export interface Parameter {
  name: string;
  place: string;
  required: 'required' | 'optional';
  type: string;
  description: string;
}

export interface Media {
  type: string;
  schema: Node;
}

/** One line of a schema's tree. */
export interface Node {
  name: string;
  type: string;
  required: 'required' | 'optional';
  description: string;
  children: Node[];
}

export interface Reference {
  title: string;
  version: string;
  description: string;
  tags: { name: string; description: string; operations: Operation[] }[];
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'];
/** Schemas may contain themselves; the tree is cut here. */
const DEPTH_MAX = 6;

export function readReference(document: any): Reference {
  const operations: Operation[] = [];
  for (const [path, item] of Object.entries<any>(document?.paths ?? {})) {
    for (const method of METHODS) {
      if (item?.[method]) operations.push(readOperation(document, path, method, item));
    }
  }
  const described = new Map<string, string>(
    (document?.tags ?? []).map((tag: any) => [String(tag.name), String(tag.description ?? '')]),
  );
  const names = [...new Set([...described.keys(), ...operations.map((operation) => operation.tag)])];
  const tags = names.map((name) => ({
    name,
    description: described.get(name) ?? '',
    operations: operations.filter((operation) => operation.tag === name),
  }));
  return {
    title: String(document?.info?.title ?? 'API'),
    version: String(document?.info?.version ?? ''),
    description: String(document?.info?.description ?? ''),
    tags: tags.filter((tag) => tag.operations.length > 0),
  };
}

function readOperation(document: any, path: string, method: string, item: any): Operation {
  const found = item[method];
  const listed = [...(item.parameters ?? []), ...(found.parameters ?? [])].map((one) => resolve(document, one));
  const body = resolve(document, found.requestBody);
  return {
    id: `${method}-${path}`.replace(/[^A-Za-z0-9]+/g, '-').replace(/-$/, ''),
    method: method.toUpperCase(),
    path,
    tag: String(found.tags?.[0] ?? 'other'),
    summary: String(found.summary ?? found.operationId ?? path),
    description: String(found.description ?? ''),
    parameters: listed.map((one) => ({
      name: String(one?.name ?? ''),
      place: String(one?.in ?? ''),
      required: one?.required ? 'required' : 'optional',
      type: typeOf(resolve(document, one?.schema)),
      description: String(one?.description ?? ''),
    })),
    ...(body ? { body: { required: body.required ? 'required' : 'optional', media: readMedia(document, body.content) } } : {}),
    answers: Object.entries<any>(found.responses ?? {}).map(([status, raw]) => {
      const answer = resolve(document, raw);
      return { status, description: String(answer?.description ?? ''), media: readMedia(document, answer?.content) };
    }),
  };
}

function readMedia(document: any, content: any): Media[] {
  return Object.entries<any>(content ?? {}).map(([type, media]) => ({
    type,
    schema: readNode(document, '', media?.schema, 'required', 0),
  }));
}

function readNode(document: any, name: string, raw: any, required: Node['required'], depth: number): Node {
  const schema = resolve(document, raw) ?? {};
  const children: Node[] = [];
  if (depth < DEPTH_MAX) {
    const needed = new Set<string>(schema.required ?? []);
    for (const [child, of] of Object.entries<any>(schema.properties ?? {})) {
      children.push(readNode(document, child, of, needed.has(child) ? 'required' : 'optional', depth + 1));
    }
    if (schema.items && typeof schema.items === 'object') {
      const item = readNode(document, 'each', schema.items, 'required', depth + 1);
      children.push(...(item.children.length > 0 ? item.children : []));
    }
    const choices = [...(schema.oneOf ?? []), ...(schema.anyOf ?? []), ...(schema.allOf ?? [])];
    for (const choice of choices) children.push(...readNode(document, '', choice, 'optional', depth + 1).children);
  }
  const type = typeOf(schema, document);
  return { name, type, required, description: String(raw?.description ?? schema.description ?? ''), children };
}

function resolve(document: any, value: any): any {
  let found = value;
  for (let hop = 0; hop < DEPTH_MAX && typeof found?.$ref === 'string'; hop += 1) {
    if (!found.$ref.startsWith('#/')) return undefined;
    const steps = found.$ref.slice(2).split('/').map((step: string) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
    found = steps.reduce((at: any, step: string) => at?.[step], document);
  }
  return found;
}

function typeOf(schema: any, document?: any): string {
  if (schema === undefined || schema === null) return 'any';
  const choices = schema.oneOf ?? schema.anyOf;
  if (Array.isArray(choices)) {
    return [...new Set(choices.map((choice) => typeOf(resolve(document, choice), document)))].join(' or ');
  }
  if (Array.isArray(schema.enum)) return schema.enum.map((value: unknown) => JSON.stringify(value)).join(' | ');
  const base = Array.isArray(schema.type) ? schema.type.join(' or ') : String(schema.type ?? (schema.properties ? 'object' : 'any'));
  if (base === 'array') return `array of ${typeOf(resolve(document, schema.items), document)}`;
  const bounds = [
    schema.format,
    schema.minimum === undefined ? undefined : `≥ ${schema.minimum}`,
    schema.maximum === undefined ? undefined : `≤ ${schema.maximum}`,
    schema.maxLength === undefined ? undefined : `at most ${schema.maxLength} characters`,
    schema.default === undefined ? undefined : `default ${JSON.stringify(schema.default)}`,
  ].filter((bound) => bound !== undefined);
  return bounds.length === 0 ? base : `${base} (${bounds.join(', ')})`;
}
