import { describe, expect, it } from 'vitest';
import { healthOf, type ConsumerView } from '../src/lib/consumers';

const base = { lag: 0, pending: 0, retrying: 0, held: 0, dead_letters: 0 } as ConsumerView;

describe('the state of a consumer in words', () => {
  it.each([
    [{}, 'caught up'],
    [{ lag: 3, pending: 2, held: 1 }, 'caught up'],
    [{ lag: 3, pending: 2 }, 'behind'],
    [{ lag: 1, retrying: 1 }, 'retrying'],
    [{ lag: 1, dead_letters: 1 }, 'has dead letters'],
  ])('%o is %s', (change, text) => expect(healthOf({ ...base, ...change }).text).toBe(text));
});
