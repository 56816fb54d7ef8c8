// Roles and places as people read them.

import type { Binding, Role, Tenant } from './staff-api';

export function roleName(role: string, roles: Role[]): string {
  return roles.find((known) => known.id === role)?.name ?? role;
}

/** Where a role counts. */
export function placeName(held: Pick<Binding, 'tenant' | 'project'>, tenants: Tenant[]): string {
  if (held.tenant === null) return 'everywhere';
  const tenant = tenants.find((known) => known.id === held.tenant)?.name ?? held.tenant;
  return held.project === null ? `in ${tenant}` : `in a project of ${tenant}`;
}

/** Permissions by their subject: `topics` with `read` and `write`. */
export function grouped(names: string[]): { subject: string; verbs: string[] }[] {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const [subject = name, verb = ''] = name.split(':');
    groups.set(subject, [...(groups.get(subject) ?? []), verb]);
  }
  return [...groups].map(([subject, verbs]) => ({ subject, verbs }));
}
