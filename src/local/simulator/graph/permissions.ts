/** Which application permission contains which. A token's roles are compared through this closure, never by equality. */

const contains: Record<string, readonly string[]> = {
  "User.ReadWrite.All": ["User.Read.All"],
  "Group.ReadWrite.All": ["Group.Read.All", "GroupMember.ReadWrite.All"],
  "Group.Read.All": ["GroupMember.Read.All"],
  "GroupMember.ReadWrite.All": ["GroupMember.Read.All"],
  "Directory.ReadWrite.All": ["Directory.Read.All"],
  "Directory.Read.All": ["User.Read.All", "Group.Read.All", "Organization.Read.All", "Application.Read.All"],
  "Organization.ReadWrite.All": ["Organization.Read.All"],
};

export const withContained = (roles: readonly string[]): ReadonlySet<string> => {
  const all = new Set<string>();
  const open = [...roles];
  for (let role = open.pop(); role !== undefined; role = open.pop()) {
    if (all.has(role)) continue;
    all.add(role);
    open.push(...(contains[role] ?? []));
  }
  return all;
};

export const rights = {
  users: "User.Read.All",
  groups: "GroupMember.Read.All",
  organization: "Organization.Read.All",
  hiddenMembers: "Member.Read.Hidden",
  signInActivity: "AuditLog.Read.All",
  otherObjects: "Directory.Read.All",
} as const;
