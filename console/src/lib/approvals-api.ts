// Acts that wait for a second person, as the admin API gives them. Pure but for what it is handed
// to ask with.

export type ApprovalState = 'pending' | 'approved' | 'running' | 'done' | 'failed' | 'refused' | 'expired' | 'withdrawn' | 'void';

export interface Approval {
  id: string;
  state: ApprovalState;
  mode: 'once' | 'pass';
  act: string;
  summary: string;
  method: string;
  path: string;
  permission: string;
  tenant: string | null;
  project: string | null;
  asker: string;
  address: string | null;
  reason: string;
  asked_at: number;
  expires_at: number;
  decider: string | null;
  decided_at: number | null;
  comment: string;
  ended_at: number | null;
  outcome: string | null;
  status: number | null;
  answer: unknown;
  has_secret: boolean;
  is_mine: boolean;
  may_decide: boolean;
}

export interface Approver {
  id: string;
  email: string;
  name: string;
}

export interface ApprovalDetails extends Approval {
  body: unknown;
  before: unknown;
  approvers: Approver[];
}

/** The answer to an act that waits now. */
export interface Asked {
  code: 'APPROVAL_REQUIRED';
  message: string;
  approval: Approval;
  approvers: Approver[];
}

export interface Act {
  name: string;
  method: string;
  path: string;
  summary: string;
  area: string;
  permission: string;
  mode: 'once' | 'pass';
  is_suggested: boolean;
  is_of_tenant: boolean;
  is_always: boolean;
}

export interface ApprovalRule {
  tenant: string | null;
  act: string;
  summary: string;
  hours: number;
  actor: string;
  at: number;
}

/** States after which nothing comes. */
export const isOver = (state: ApprovalState): boolean => !['pending', 'approved', 'running'].includes(state);

const TONES: Record<ApprovalState, '' | 'good' | 'warn' | 'bad'> = {
  pending: 'warn',
  approved: 'warn',
  running: 'warn',
  done: 'good',
  failed: 'bad',
  refused: 'bad',
  expired: '',
  withdrawn: '',
  void: 'bad',
};
export const toneOf = (state: ApprovalState): string => TONES[state];

/** Whether an answer says that the act waits. */
export function asked(answer: unknown): Asked | undefined {
  const found = answer as Partial<Asked> | null | undefined;
  return found?.code === 'APPROVAL_REQUIRED' && found.approval !== undefined ? (found as Asked) : undefined;
}

/** How long it still waits, in words. */
export function remaining(expiresAt: number, now: number): string {
  const minutes = Math.max(0, Math.round((expiresAt - now) / 60_000));
  if (minutes < 60) return `${minutes} min left`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h left` : `${Math.round(hours / 24)} days left`;
}

/** Acts in the order of what they belong to, those that are offered first in front. */
export function byArea(acts: Act[]): { area: string; acts: Act[] }[] {
  const groups = new Map<string, Act[]>();
  for (const act of acts) groups.set(act.area, [...(groups.get(act.area) ?? []), act]);
  const order = (all: Act[]) => [...all].sort((a, b) => Number(b.is_suggested) - Number(a.is_suggested));
  return [...groups].map(([area, all]) => ({ area, acts: order(all) }));
}

type Ask = (method: string, path: string, body?: unknown) => Promise<any>;

export class ApprovalsApi {
  constructor(private readonly ask: Ask) {}

  list = (query: Record<string, string>): Promise<{ approvals: Approval[]; next_cursor: string | null }> =>
    this.ask('GET', `/v1/approvals?${new URLSearchParams(query).toString()}`);
  show = (id: string): Promise<ApprovalDetails> => this.ask('GET', `/v1/approvals/${encodeURIComponent(id)}`);
  decide = (id: string, verb: 'approve' | 'refuse', comment: string): Promise<Approval> =>
    this.ask('POST', `/v1/approvals/${encodeURIComponent(id)}/${verb}`, { comment });
  withdraw = (id: string): Promise<Approval> => this.ask('POST', `/v1/approvals/${encodeURIComponent(id)}/withdraw`);
  takeAnswer = async (id: string): Promise<unknown> => (await this.ask('POST', `/v1/approvals/${encodeURIComponent(id)}/answer`)).answer;

  acts = async (): Promise<Act[]> => (await this.ask('GET', '/v1/approval-acts')).acts;
  rules = async (tenant?: string): Promise<ApprovalRule[]> => (await this.ask('GET', `/v1/approval-rules${place(tenant)}`)).rules;
  mark = (act: string, tenant?: string): Promise<{ rule: ApprovalRule; approvers: number }> =>
    this.ask('PUT', `/v1/approval-rules/${encodeURIComponent(act)}${place(tenant)}`, {});
  unmark = (act: string, tenant?: string): Promise<void> => this.ask('DELETE', `/v1/approval-rules/${encodeURIComponent(act)}${place(tenant)}`);
}

function place(tenant: string | undefined): string {
  return tenant === undefined ? '' : `?tenant=${encodeURIComponent(tenant)}`;
}
