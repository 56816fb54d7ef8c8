// Presence at one address as the console shows it. Pure: what the server answered in, what is shown
// out.

/** Members listed at most; beyond it the page says how many more there are. */
export const MEMBERS_SHOWN_MAX = 50;

export interface Member {
  member: string;
  principal: string;
  data?: unknown;
  entered_at: number;
  connections: number;
}

export interface Presence {
  members: Member[];
  counts: { members: number; connections: number };
}

export function readPresence(answer: any): Presence {
  const members = Array.isArray(answer?.members) ? answer.members : [];
  return {
    members: members.map((one: any) => ({
      member: String(one.member),
      principal: String(one.principal),
      ...(one.data === undefined ? {} : { data: one.data }),
      entered_at: Number(one.entered_at ?? 0),
      connections: Number(one.connections ?? 1),
    })),
    counts: {
      members: Number(answer?.counts?.members ?? members.length),
      connections: Number(answer?.counts?.connections ?? members.length),
    },
  };
}

/** Those whom the list leaves out. */
export const unlisted = (presence: Presence): number =>
  Math.max(0, presence.counts.members - presence.members.length);

/** A member's data on one line, cut where it gets long. */
export function dataText(data: unknown, lettersMax = 120): string {
  if (data === undefined) return '';
  const text = JSON.stringify(data);
  return text.length > lettersMax ? `${text.slice(0, lettersMax - 1)}…` : text;
}
