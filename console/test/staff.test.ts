// The pure parts of the staff pages: words for roles and places, pages by address.

import { describe, expect, it } from 'vitest';
import { ApiError } from '../src/lib/api';
import { fieldOf } from '../src/lib/staff-api';
import { grouped, placeName, roleName } from '../src/lib/staff-words';

const roles = [{ id: 'rol_1', name: 'auditor', description: '', is_built_in: false, permissions: [] }];
const tenants = [{ id: 'ten_1', name: 'Acme' }];

describe('roles and places', () => {
  it('are named as people know them', () => {
    expect(roleName('rol_1', roles)).toBe('auditor');
    expect(roleName('owner', roles)).toBe('owner');
    expect(placeName({ tenant: null, project: null }, tenants)).toBe('everywhere');
    expect(placeName({ tenant: 'ten_1', project: null }, tenants)).toBe('in Acme');
    expect(placeName({ tenant: 'ten_1', project: 'prj_1' }, tenants)).toBe('in a project of Acme');
    // A tenant that the reader may not look at is still told apart.
    expect(placeName({ tenant: 'ten_2', project: null }, tenants)).toBe('in ten_2');
  });

  it('permissions are grouped by subject, in their order', () => {
    expect(grouped(['topics:read', 'keys:read', 'topics:write'])).toEqual([
      { subject: 'topics', verbs: ['read', 'write'] },
      { subject: 'keys', verbs: ['read'] },
    ]);
  });
});

describe('refusals', () => {
  it('name the field they are about', () => {
    const view = { code: 'INSUFFICIENT_SCOPE', message: '', details: { field: 'elevated' } };
    expect(fieldOf(new ApiError(403, view))).toBe('elevated');
    expect(fieldOf(new ApiError(0, { code: 'UNREACHABLE', message: '' }))).toBe('');
    expect(fieldOf(new Error('elevated'))).toBe('');
  });
});
