// JSON as a person types it: checked while typing, with the place of the mistake.

export type Checked =
  | { kind: 'empty' }
  | { kind: 'ok'; value: unknown }
  | { kind: 'bad'; message: string; line: number; column: number };

export function checkJson(text: string): Checked {
  if (text.trim() === '') return { kind: 'empty' };
  try {
    return { kind: 'ok', value: JSON.parse(text) };
  } catch {
    const { position, message } = mistakeIn(text);
    const before = text.slice(0, position).split('\n');
    return { kind: 'bad', message, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
  }
}

const LEXEME = /\s+|"(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|[^"\\\u0000-\u001f])*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]/y;

/**
 * The first place where the text stops being JSON. Browsers disagree on whether the parser's
 * message names one, so this walks the grammar itself: `want` is what may come next.
 */
function mistakeIn(text: string): { position: number; message: string } {
  const open: string[] = [];
  let want: 'value' | 'value or ]' | 'name' | 'name or }' | ':' | ', or end' = 'value';
  let position = 0;
  while (position < text.length) {
    LEXEME.lastIndex = position;
    const lexeme = LEXEME.exec(text)?.[0];
    const wrong = { position, message: `Expected ${want}, found ${text.slice(position, position + 1)}` };
    if (lexeme === undefined || lexeme === '') return wrong;
    if (/^\s/.test(lexeme)) {
      position += lexeme.length;
      continue;
    }
    const inObject = open.at(-1) === '{';
    const closes = (lexeme === '}' && inObject) || (lexeme === ']' && open.at(-1) === '[');
    if (want === ', or end') {
      if (closes) open.pop();
      else if (lexeme === ',' && open.length > 0) want = inObject ? 'name' : 'value';
      else return wrong;
    } else if (want === ':') {
      if (lexeme !== ':') return wrong;
      want = 'value';
    } else if (closes && want.includes(' or ')) {
      open.pop();
      want = ', or end';
    } else if (want.startsWith('name')) {
      if (!lexeme.startsWith('"')) return wrong;
      want = ':';
    } else if (lexeme === '{' || lexeme === '[') {
      open.push(lexeme);
      want = lexeme === '{' ? 'name or }' : 'value or ]';
    } else if (/^[}\],:]/.test(lexeme)) return wrong;
    else want = ', or end';
    position += lexeme.length;
  }
  return { position, message: `The text ends early; expected ${want}` };
}

export type Token = { kind: 'key' | 'text' | 'number' | 'word' | 'mark'; text: string };

/** Splits pretty-printed JSON for colouring. Its parts joined are the input. */
export function tokens(json: string): Token[] {
  const found: Token[] = [];
  const pattern = /("(?:\\.|[^"\\])*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null)|([^"\d\-tfn]+|.)/g;
  for (const match of json.matchAll(pattern)) {
    const [all, text, colon, number, word] = match;
    if (text !== undefined && colon !== undefined) {
      found.push({ kind: 'key', text }, { kind: 'mark', text: colon });
    } else if (text !== undefined) found.push({ kind: 'text', text });
    else if (number !== undefined) found.push({ kind: 'number', text: number });
    else if (word !== undefined) found.push({ kind: 'word', text: word });
    else found.push({ kind: 'mark', text: all });
  }
  return found;
}
